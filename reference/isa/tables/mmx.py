"""MMX, and what later extensions added to it.

One line is one encoding; :mod:`reference.isa.opcodes` says what the columns mean.
"""

from typing import Final

TABLE: Final = """\
# Moves
NP 0F 6E /r       movd              Pq,Ed             mmx
NP 0F 7E /r       movd              Ed,Pq             mmx
NP 0F 6F /r       movq              Pq,Qq             mmx
NP 0F 7F /r       movq              Qq,Pq             mmx
NP 0F 77          emms              -                 mmx

# Packed integers
NP 0F 60 /r       punpcklbw         Pq,Qd             mmx
NP 0F 61 /r       punpcklwd         Pq,Qd             mmx
NP 0F 62 /r       punpckldq         Pq,Qd             mmx
NP 0F 63 /r       packsswb          Pq,Qq             mmx
NP 0F 64 /r       pcmpgtb           Pq,Qq             mmx
NP 0F 65 /r       pcmpgtw           Pq,Qq             mmx
NP 0F 66 /r       pcmpgtd           Pq,Qq             mmx
NP 0F 67 /r       packuswb          Pq,Qq             mmx
NP 0F 68 /r       punpckhbw         Pq,Qq             mmx
NP 0F 69 /r       punpckhwd         Pq,Qq             mmx
NP 0F 6A /r       punpckhdq         Pq,Qq             mmx
NP 0F 6B /r       packssdw          Pq,Qq             mmx
NP 0F 74 /r       pcmpeqb           Pq,Qq             mmx
NP 0F 75 /r       pcmpeqw           Pq,Qq             mmx
NP 0F 76 /r       pcmpeqd           Pq,Qq             mmx
NP 0F D1 /r       psrlw             Pq,Qq             mmx
NP 0F D2 /r       psrld             Pq,Qq             mmx
NP 0F D3 /r       psrlq             Pq,Qq             mmx
NP 0F D5 /r       pmullw            Pq,Qq             mmx
NP 0F D8 /r       psubusb           Pq,Qq             mmx
NP 0F D9 /r       psubusw           Pq,Qq             mmx
NP 0F DB /r       pand              Pq,Qq             mmx
NP 0F DC /r       paddusb           Pq,Qq             mmx
NP 0F DD /r       paddusw           Pq,Qq             mmx
NP 0F DF /r       pandn             Pq,Qq             mmx
NP 0F E1 /r       psraw             Pq,Qq             mmx
NP 0F E2 /r       psrad             Pq,Qq             mmx
NP 0F E5 /r       pmulhw            Pq,Qq             mmx
NP 0F E8 /r       psubsb            Pq,Qq             mmx
NP 0F E9 /r       psubsw            Pq,Qq             mmx
NP 0F EB /r       por               Pq,Qq             mmx
NP 0F EC /r       paddsb            Pq,Qq             mmx
NP 0F ED /r       paddsw            Pq,Qq             mmx
NP 0F EF /r       pxor              Pq,Qq             mmx
NP 0F F1 /r       psllw             Pq,Qq             mmx
NP 0F F2 /r       pslld             Pq,Qq             mmx
NP 0F F3 /r       psllq             Pq,Qq             mmx
NP 0F F5 /r       pmaddwd           Pq,Qq             mmx
NP 0F F8 /r       psubb             Pq,Qq             mmx
NP 0F F9 /r       psubw             Pq,Qq             mmx
NP 0F FA /r       psubd             Pq,Qq             mmx
NP 0F FC /r       paddb             Pq,Qq             mmx
NP 0F FD /r       paddw             Pq,Qq             mmx
NP 0F FE /r       paddd             Pq,Qq             mmx
NP 0F 71 /2       psrlw             Nq,Ib             mmx
NP 0F 71 /4       psraw             Nq,Ib             mmx
NP 0F 71 /6       psllw             Nq,Ib             mmx
NP 0F 72 /2       psrld             Nq,Ib             mmx
NP 0F 72 /4       psrad             Nq,Ib             mmx
NP 0F 72 /6       pslld             Nq,Ib             mmx
NP 0F 73 /2       psrlq             Nq,Ib             mmx
NP 0F 73 /6       psllq             Nq,Ib             mmx

# What SSE added
NP 0F DA /r       pminub            Pq,Qq             sse
NP 0F DE /r       pmaxub            Pq,Qq             sse
NP 0F E0 /r       pavgb             Pq,Qq             sse
NP 0F E3 /r       pavgw             Pq,Qq             sse
NP 0F E4 /r       pmulhuw           Pq,Qq             sse
NP 0F EA /r       pminsw            Pq,Qq             sse
NP 0F EE /r       pmaxsw            Pq,Qq             sse
NP 0F F6 /r       psadbw            Pq,Qq             sse
NP 0F 70 /r       pshufw            Pq,Qq,Ib          sse
NP 0F C4 /r       pinsrw            Pq,Rd/Mw,Ib       sse
NP 0F C5 /r       pextrw            Gd,Nq,Ib          sse
NP 0F D7 /r       pmovmskb          Gd,Nq             sse
NP 0F E7 /r       movntq            Mq,Pq             sse
NP 0F F7 /r       maskmovq          Pq,Nq             sse

# What SSE2 added
NP 0F D4 /r       paddq             Pq,Qq             sse2
NP 0F F4 /r       pmuludq           Pq,Qq             sse2
NP 0F FB /r       psubq             Pq,Qq             sse2
F3 0F D6 /r       movq2dq           Vdq,Nq            sse2
F2 0F D6 /r       movdq2q           Pq,Uq             sse2

# What SSSE3 added
NP 0F 38 00 /r    pshufb            Pq,Qq             ssse3
NP 0F 38 01 /r    phaddw            Pq,Qq             ssse3
NP 0F 38 02 /r    phaddd            Pq,Qq             ssse3
NP 0F 38 03 /r    phaddsw           Pq,Qq             ssse3
NP 0F 38 04 /r    pmaddubsw         Pq,Qq             ssse3
NP 0F 38 05 /r    phsubw            Pq,Qq             ssse3
NP 0F 38 06 /r    phsubd            Pq,Qq             ssse3
NP 0F 38 07 /r    phsubsw           Pq,Qq             ssse3
NP 0F 38 08 /r    psignb            Pq,Qq             ssse3
NP 0F 38 09 /r    psignw            Pq,Qq             ssse3
NP 0F 38 0A /r    psignd            Pq,Qq             ssse3
NP 0F 38 0B /r    pmulhrsw          Pq,Qq             ssse3
NP 0F 38 1C /r    pabsb             Pq,Qq             ssse3
NP 0F 38 1D /r    pabsw             Pq,Qq             ssse3
NP 0F 38 1E /r    pabsd             Pq,Qq             ssse3
NP 0F 3A 0F /r    palignr           Pq,Qq,Ib          ssse3
"""
