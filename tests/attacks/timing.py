import sys, time, io
from datetime import datetime, UTC
from services.transform.reading.window import Window
from services.transform.reading.elements import ArrayReader
from services.transform.reading.reader import UnitReader, BLOCK_BYTES
from services.transform.blocks import *
MAXROW=int(1024*1024*8)
def run(data, limit=20):
    class Stop(Exception): pass
    t0=time.time(); last=[t0]; gap=[0.0]
    def check():
        n=time.time(); gap[0]=max(gap[0], n-last[0]); last[0]=n
        if n-t0>limit: raise Stop
    w=Window(io.BytesIO(data),0,check); w.fill(1)
    n=0; rows=0; brk=0
    try:
        for p in ArrayReader(w,MAXROW,BLOCK_BYTES).read(Form.ARRAY):
            n+=1
            if isinstance(p.rows,RowBlock): rows+=len(p.rows.starts)
            else: brk+=1
        done=True
    except Stop: done=False
    check_gap=max(gap[0], time.time()-last[0])
    print(f"  {len(data):>9,} bytes {time.time()-t0:7.2f}s gap {check_gap:.2f} done={done} pieces={n} rows={rows} broken={brk}", flush=True)
def A(n):
    e=b"["*101+b"]"*101
    return b"["+b",".join([e]*n)+b","+b"["*3000+b"]"*3000+b"]"
def B(n): return b"["+b'{"a":x},,'*n+b"{}]"
def C(n, mb=8): return b"["+b"["*n+b"{},"*(mb*1024*1024//3)+b"{}"+b"]"*(n)
def D(n): return b"["+b'{},,'*n+b"{}]"
def E(n): return b"["+b'{}],'*n+b"{}]"
def F(n): return b'[{"a":"x},'+b'{"a":1},'*n+b"["*3000+b"]"*3000+b',{"b":1},{"b":2}]'
def A2(n): return b"["+b",".join(([b"["*101+b"]"*101]*30+[b"["*1500+b"]"*1500])*n)+b"]"
def G(n): return b"[{\"a\":\"x},"+b"[{},"*n
def H(n): return b"[{\"a\":\"x},"+b"{\"a\":[{\"b\":2},"*n
def I(n): return b"[{\"a\":\"x},"+(b"{\"p\":["+b"{},"*25000)*n+b"["*3000
which=sys.argv[1]
for n in map(int,sys.argv[2:]):
    run(globals()[which](n))
