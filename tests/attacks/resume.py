"""Random arrays/lines with damage: resumption at each position, block sizes; intact arrays exact."""
import random, sys, time
from tests.support.reading import *
from services.transform.reading.reader import UnitReader
from tests.support.lake import MemoryLake
from services.shared.units import Plan
el=[b'{"a":1}',b'{}',b'{"a":[1,{"b":2},{"c":3}]}',b'{"a":"x,{y"}',b'{"s":"\\"\\\\"}',b'[1,2]',b'[{"z":1},{"y":2}]',b'1',b'"s"',b'{"a":x}',b'{"a":NaN}',b'null',b'{"long":"'+b'L'*40+b'"}',b'{"p":'+b'['*5+b']'*5+b'}',b'{"big":"'+b'B'*310+b'"}', b'['*101+b']'*101, b'['*1100+b']'*1100,b'{"k":"v","l":[{"m":1},{"n":2}]}']
seps=[b',']*30+[b', ',b',\n',b' ,\r\n']*4+[b',,',b'',b' ',b'\n',b', ,',b']',b'],',b'][',b'}',b'{',b'"',b'\\',b'],\n[',b']\n',b'[',b',[',b'x']
def gen(r):
    n=r.choice([1,3,8,20,60])
    out=[r.choice([b'[',b'[',b'[',b'[\n',b' [',b'',b'\xef\xbb\xbf[',b'{[' ,b'x['])]
    dmg=r.choice([0,0,.05,.3])
    few=r.sample(el,r.choice([1,2,4,len(el)]))
    for i in range(n):
        out.append(r.choice(few))
        out.append(r.choice(seps) if r.random()<dmg else r.choice(seps[:42]))
    if out and r.random()<.8: out.pop()
    out.append(r.choice([b']',b']\n',b']',b'',b']]',b'] \n{"t":1}\n{"t":2}\n',b']x',b']\n]\n']))
    d=b''.join(out)
    if r.random()<.3:
        for _ in range(r.randint(1,3)):
            i=r.randrange(len(d)) if d else 0
            d=d[:i]+r.choice([b'',b'"',b'{',b'}',b'[',b']',b',',b'\n'])+d[i+1:]
    return d
seed=int(sys.argv[1]); stop=time.time()+float(sys.argv[2]); bad=0; n=0
while time.time()<stop and bad<4:
    r=random.Random(seed); seed+=1; n+=1
    d=gen(r)
    if not d: continue
    mr=r.choice([20,60,300,5000])
    if b'['*400 in d: mr=5000
    base=None
    for block in (1<<20, r.choice([16,64,100]), r.choice([300,700])):
        reader,unit,pieces=pieces_of("bronze/d/f.json",d,block,mr)
        rows=rows_in(pieces)
        if base is None: base=rows
        elif rows!=base:
            print("BLOCK DIFF seed",seed-1,"mr",mr,"block",block,len(d), d[:300], [x for x in base if x not in rows][:3],[x for x in rows if x not in base][:3],flush=True); bad+=1; break
        offs=[o for o,_ in rows]
        if len(set(o for o,t in rows if t!=BROKEN))!=len([1 for _,t in rows if t!=BROKEN]):
            print("DOUBLE seed",seed-1,mr,block,d[:300],flush=True); bad+=1;break
        k=len(pieces); idx=range(k) if k<25 else r.sample(range(k),25)
        fail=False
        for i in idx:
            got=read_on(reader,unit,pieces[i].after)
            exp=rows_in(pieces[i+1:])
            if got!=exp:
                print("RESUME DIFF seed",seed-1,"mr",mr,"block",block,"piece",i,pieces[i].after,len(d),d[:400],"\n exp",exp[:4],"\n got",got[:4],flush=True); bad+=1; fail=True; break
        if fail: break
print("runs",n,"next",seed)
