"""One 8 MiB block: rows of 1000 keys exactly where samples are taken, tiny rows elsewhere."""
import time, sys, tracemalloc
from datetime import datetime, timedelta, UTC
import numpy as np
from services.shared.contract.model import *
from services.transform.blocks import lines_block
from services.transform.rows.parser import RowParser
c=Contract(dataset="d",version="1.0.0",fields=(Field("at",FieldType.TIMESTAMP,required=True),),event_time="at",keys=("at",),earliest=datetime(2000,1,1,tzinfo=UTC),max_ahead=timedelta(days=1))
CR=datetime(2026,6,1,tzinfo=UTC)
p=RowParser({"d":c})
n=int(sys.argv[1]); mode=sys.argv[2]
small=b'{"at":"2026-01-01T00:00:00Z","k0":1}'
def wide(j): return b'{"at":"2026-01-01T00:00:00Z",'+b','.join(b'"k%d":1'%(i if mode=="same" else i+1000*j) for i in range(990))+b'}'
rows=[small]*n
for j,i in enumerate(np.linspace(0,n-1,8).astype(int).tolist()): rows[i]=wide(j)
d=b'\n'.join(rows)+b'\n'
t=time.time(); r=p.parse(lines_block(d,0),"d",CR); print(mode,len(d),n,"%.2fs"%(time.time()-t), {k:v.num_rows for k,v in r.silver.items()}, r.quarantine.num_rows)
