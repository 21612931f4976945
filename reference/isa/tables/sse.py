"""SSE to SSE4.2, AES, PCLMULQDQ, SHA, and the instructions that save and restore vector state.

One line is one encoding; :mod:`reference.isa.opcodes` says what the columns mean.
"""

from typing import Final

TABLE: Final = """\
# Moves of floating-point values
NP 0F 10 /r       movups            Vps,Wps           sse
NP 0F 11 /r       movups            Wps,Vps           sse
66 0F 10 /r       movupd            Vpd,Wpd           sse2
66 0F 11 /r       movupd            Wpd,Vpd           sse2
F3 0F 10 /r       movss             Vss,Wss           sse
F3 0F 11 /r       movss             Wss,Vss           sse
F2 0F 10 /r       movsd             Vsd,Wsd           sse2
F2 0F 11 /r       movsd             Wsd,Vsd           sse2
NP 0F 12 /r       movlps            Vdq,Mq            sse
NP 0F 13 /r       movlps            Mq,Vdq            sse
NP 0F 16 /r       movhps            Vdq,Mq            sse
NP 0F 17 /r       movhps            Mq,Vdq            sse
NP 0F 28 /r       movaps            Vps,Wps           sse
NP 0F 29 /r       movaps            Wps,Vps           sse
NP 0F 2B /r       movntps           Mps,Vps           sse
NP 0F 50 /r       movmskps          Gd,Ups            sse
66 0F 12 /r       movlpd            Vdq,Mq            sse2
66 0F 13 /r       movlpd            Mq,Vdq            sse2
66 0F 16 /r       movhpd            Vdq,Mq            sse2
66 0F 17 /r       movhpd            Mq,Vdq            sse2
66 0F 28 /r       movapd            Vpd,Wpd           sse2
66 0F 29 /r       movapd            Wpd,Vpd           sse2
66 0F 2B /r       movntpd           Mpd,Vpd           sse2
66 0F 50 /r       movmskpd          Gd,Upd            sse2
NP 0F 12 /r       movhlps           Vdq,Udq           sse
NP 0F 16 /r       movlhps           Vdq,Udq           sse
F3 0F 12 /r       movsldup          Vps,Wps           sse3
F3 0F 16 /r       movshdup          Vps,Wps           sse3
F2 0F 12 /r       movddup           Vdq,Wq            sse3

# Arithmetic and logic on floating-point values
NP 0F 51 /r       sqrtps            Vps,Wps           sse
66 0F 51 /r       sqrtpd            Vpd,Wpd           sse2
F3 0F 51 /r       sqrtss            Vss,Wss           sse
F2 0F 51 /r       sqrtsd            Vsd,Wsd           sse2
NP 0F 58 /r       addps             Vps,Wps           sse
66 0F 58 /r       addpd             Vpd,Wpd           sse2
F3 0F 58 /r       addss             Vss,Wss           sse
F2 0F 58 /r       addsd             Vsd,Wsd           sse2
NP 0F 59 /r       mulps             Vps,Wps           sse
66 0F 59 /r       mulpd             Vpd,Wpd           sse2
F3 0F 59 /r       mulss             Vss,Wss           sse
F2 0F 59 /r       mulsd             Vsd,Wsd           sse2
NP 0F 5C /r       subps             Vps,Wps           sse
66 0F 5C /r       subpd             Vpd,Wpd           sse2
F3 0F 5C /r       subss             Vss,Wss           sse
F2 0F 5C /r       subsd             Vsd,Wsd           sse2
NP 0F 5D /r       minps             Vps,Wps           sse
66 0F 5D /r       minpd             Vpd,Wpd           sse2
F3 0F 5D /r       minss             Vss,Wss           sse
F2 0F 5D /r       minsd             Vsd,Wsd           sse2
NP 0F 5E /r       divps             Vps,Wps           sse
66 0F 5E /r       divpd             Vpd,Wpd           sse2
F3 0F 5E /r       divss             Vss,Wss           sse
F2 0F 5E /r       divsd             Vsd,Wsd           sse2
NP 0F 5F /r       maxps             Vps,Wps           sse
66 0F 5F /r       maxpd             Vpd,Wpd           sse2
F3 0F 5F /r       maxss             Vss,Wss           sse
F2 0F 5F /r       maxsd             Vsd,Wsd           sse2
NP 0F 52 /r       rsqrtps           Vps,Wps           sse     approximate  -  -  -  -
F3 0F 52 /r       rsqrtss           Vss,Wss           sse     approximate  -  -  -  -
NP 0F 53 /r       rcpps             Vps,Wps           sse     approximate  -  -  -  -
F3 0F 53 /r       rcpss             Vss,Wss           sse     approximate  -  -  -  -
NP 0F 14 /r       unpcklps          Vps,Wps           sse
66 0F 14 /r       unpcklpd          Vpd,Wpd           sse2
NP 0F 15 /r       unpckhps          Vps,Wps           sse
66 0F 15 /r       unpckhpd          Vpd,Wpd           sse2
NP 0F 54 /r       andps             Vps,Wps           sse
66 0F 54 /r       andpd             Vpd,Wpd           sse2
NP 0F 55 /r       andnps            Vps,Wps           sse
66 0F 55 /r       andnpd            Vpd,Wpd           sse2
NP 0F 56 /r       orps              Vps,Wps           sse
66 0F 56 /r       orpd              Vpd,Wpd           sse2
NP 0F 57 /r       xorps             Vps,Wps           sse
66 0F 57 /r       xorpd             Vpd,Wpd           sse2
NP 0F C2 /r       cmpps             Vps,Wps,Ib        sse
66 0F C2 /r       cmppd             Vpd,Wpd,Ib        sse2
F3 0F C2 /r       cmpss             Vss,Wss,Ib        sse
F2 0F C2 /r       cmpsd             Vsd,Wsd,Ib        sse2
NP 0F C6 /r       shufps            Vps,Wps,Ib        sse
66 0F C6 /r       shufpd            Vpd,Wpd,Ib        sse2
NP 0F 2E /r       ucomiss           Vss,Wss           sse     copy    -     -        oszapc   -
66 0F 2E /r       ucomisd           Vsd,Wsd           sse2    copy    -     -        oszapc   -
NP 0F 2F /r       comiss            Vss,Wss           sse     copy    -     -        oszapc   -
66 0F 2F /r       comisd            Vsd,Wsd           sse2    copy    -     -        oszapc   -
66 0F 7C /r       haddpd            Vpd,Wpd           sse3
66 0F 7D /r       hsubpd            Vpd,Wpd           sse3
66 0F D0 /r       addsubpd          Vpd,Wpd           sse3
F2 0F 7C /r       haddps            Vps,Wps           sse3
F2 0F 7D /r       hsubps            Vps,Wps           sse3
F2 0F D0 /r       addsubps          Vps,Wps           sse3

# Conversions
NP 0F 2A /r       cvtpi2ps          Vdq,Qq            sse
66 0F 2A /r       cvtpi2pd          Vdq,Qq            sse2
F3 0F 2A /r       cvtsi2ss          Vss,Ed            sse
F2 0F 2A /r       cvtsi2sd          Vsd,Ed            sse2
NP 0F 2C /r       cvttps2pi         Pq,Wq             sse
66 0F 2C /r       cvttpd2pi         Pq,Wdq            sse2
F3 0F 2C /r       cvttss2si         Gd,Wss            sse
F2 0F 2C /r       cvttsd2si         Gd,Wsd            sse2
NP 0F 2D /r       cvtps2pi          Pq,Wq             sse
66 0F 2D /r       cvtpd2pi          Pq,Wdq            sse2
F3 0F 2D /r       cvtss2si          Gd,Wss            sse
F2 0F 2D /r       cvtsd2si          Gd,Wsd            sse2
NP 0F 5A /r       cvtps2pd          Vdq,Wq            sse2
66 0F 5A /r       cvtpd2ps          Vdq,Wdq           sse2
F3 0F 5A /r       cvtss2sd          Vsd,Wss           sse2
F2 0F 5A /r       cvtsd2ss          Vss,Wsd           sse2
NP 0F 5B /r       cvtdq2ps          Vdq,Wdq           sse2
66 0F 5B /r       cvtps2dq          Vdq,Wdq           sse2
F3 0F 5B /r       cvttps2dq         Vdq,Wdq           sse2
66 0F E6 /r       cvttpd2dq         Vdq,Wdq           sse2
F3 0F E6 /r       cvtdq2pd          Vdq,Wq            sse2
F2 0F E6 /r       cvtpd2dq          Vdq,Wdq           sse2

# Moves of integers
66 0F 6E /r       movd              Vdq,Ed            sse2
66 0F 7E /r       movd              Ed,Vdq            sse2
F3 0F 7E /r       movq              Vdq,Wq            sse2
66 0F D6 /r       movq              Wq,Vdq            sse2
66 0F 6F /r       movdqa            Vdq,Wdq           sse2
66 0F 7F /r       movdqa            Wdq,Vdq           sse2
F3 0F 6F /r       movdqu            Vdq,Wdq           sse2
F3 0F 7F /r       movdqu            Wdq,Vdq           sse2
66 0F E7 /r       movntdq           Mdq,Vdq           sse2
66 0F F7 /r       maskmovdqu        Vdq,Udq           sse2
66 0F C4 /r       pinsrw            Vdq,Rd/Mw,Ib      sse2
66 0F C5 /r       pextrw            Gd,Udq,Ib         sse2
66 0F D7 /r       pmovmskb          Gd,Udq            sse2
F2 0F F0 /r       lddqu             Vdq,Mdq           sse3
66 0F 70 /r       pshufd            Vdq,Wdq,Ib        sse2
F3 0F 70 /r       pshufhw           Vdq,Wdq,Ib        sse2
F2 0F 70 /r       pshuflw           Vdq,Wdq,Ib        sse2

# Packed integers
66 0F 60 /r       punpcklbw         Vdq,Wdq           sse2
66 0F 61 /r       punpcklwd         Vdq,Wdq           sse2
66 0F 62 /r       punpckldq         Vdq,Wdq           sse2
66 0F 63 /r       packsswb          Vdq,Wdq           sse2
66 0F 64 /r       pcmpgtb           Vdq,Wdq           sse2
66 0F 65 /r       pcmpgtw           Vdq,Wdq           sse2
66 0F 66 /r       pcmpgtd           Vdq,Wdq           sse2
66 0F 67 /r       packuswb          Vdq,Wdq           sse2
66 0F 68 /r       punpckhbw         Vdq,Wdq           sse2
66 0F 69 /r       punpckhwd         Vdq,Wdq           sse2
66 0F 6A /r       punpckhdq         Vdq,Wdq           sse2
66 0F 6B /r       packssdw          Vdq,Wdq           sse2
66 0F 6C /r       punpcklqdq        Vdq,Wdq           sse2
66 0F 6D /r       punpckhqdq        Vdq,Wdq           sse2
66 0F 74 /r       pcmpeqb           Vdq,Wdq           sse2
66 0F 75 /r       pcmpeqw           Vdq,Wdq           sse2
66 0F 76 /r       pcmpeqd           Vdq,Wdq           sse2
66 0F D1 /r       psrlw             Vdq,Wdq           sse2
66 0F D2 /r       psrld             Vdq,Wdq           sse2
66 0F D3 /r       psrlq             Vdq,Wdq           sse2
66 0F D4 /r       paddq             Vdq,Wdq           sse2
66 0F D5 /r       pmullw            Vdq,Wdq           sse2
66 0F D8 /r       psubusb           Vdq,Wdq           sse2
66 0F D9 /r       psubusw           Vdq,Wdq           sse2
66 0F DA /r       pminub            Vdq,Wdq           sse2
66 0F DB /r       pand              Vdq,Wdq           sse2
66 0F DC /r       paddusb           Vdq,Wdq           sse2
66 0F DD /r       paddusw           Vdq,Wdq           sse2
66 0F DE /r       pmaxub            Vdq,Wdq           sse2
66 0F DF /r       pandn             Vdq,Wdq           sse2
66 0F E0 /r       pavgb             Vdq,Wdq           sse2
66 0F E1 /r       psraw             Vdq,Wdq           sse2
66 0F E2 /r       psrad             Vdq,Wdq           sse2
66 0F E3 /r       pavgw             Vdq,Wdq           sse2
66 0F E4 /r       pmulhuw           Vdq,Wdq           sse2
66 0F E5 /r       pmulhw            Vdq,Wdq           sse2
66 0F E8 /r       psubsb            Vdq,Wdq           sse2
66 0F E9 /r       psubsw            Vdq,Wdq           sse2
66 0F EA /r       pminsw            Vdq,Wdq           sse2
66 0F EB /r       por               Vdq,Wdq           sse2
66 0F EC /r       paddsb            Vdq,Wdq           sse2
66 0F ED /r       paddsw            Vdq,Wdq           sse2
66 0F EE /r       pmaxsw            Vdq,Wdq           sse2
66 0F EF /r       pxor              Vdq,Wdq           sse2
66 0F F1 /r       psllw             Vdq,Wdq           sse2
66 0F F2 /r       pslld             Vdq,Wdq           sse2
66 0F F3 /r       psllq             Vdq,Wdq           sse2
66 0F F4 /r       pmuludq           Vdq,Wdq           sse2
66 0F F5 /r       pmaddwd           Vdq,Wdq           sse2
66 0F F6 /r       psadbw            Vdq,Wdq           sse2
66 0F F8 /r       psubb             Vdq,Wdq           sse2
66 0F F9 /r       psubw             Vdq,Wdq           sse2
66 0F FA /r       psubd             Vdq,Wdq           sse2
66 0F FB /r       psubq             Vdq,Wdq           sse2
66 0F FC /r       paddb             Vdq,Wdq           sse2
66 0F FD /r       paddw             Vdq,Wdq           sse2
66 0F FE /r       paddd             Vdq,Wdq           sse2
66 0F 71 /2       psrlw             Udq,Ib            sse2
66 0F 71 /4       psraw             Udq,Ib            sse2
66 0F 71 /6       psllw             Udq,Ib            sse2
66 0F 72 /2       psrld             Udq,Ib            sse2
66 0F 72 /4       psrad             Udq,Ib            sse2
66 0F 72 /6       pslld             Udq,Ib            sse2
66 0F 73 /2       psrlq             Udq,Ib            sse2
66 0F 73 /6       psllq             Udq,Ib            sse2
66 0F 73 /3       psrldq            Udq,Ib            sse2
66 0F 73 /7       pslldq            Udq,Ib            sse2

# SSSE3
66 0F 38 00 /r    pshufb            Vdq,Wdq           ssse3
66 0F 38 01 /r    phaddw            Vdq,Wdq           ssse3
66 0F 38 02 /r    phaddd            Vdq,Wdq           ssse3
66 0F 38 03 /r    phaddsw           Vdq,Wdq           ssse3
66 0F 38 04 /r    pmaddubsw         Vdq,Wdq           ssse3
66 0F 38 05 /r    phsubw            Vdq,Wdq           ssse3
66 0F 38 06 /r    phsubd            Vdq,Wdq           ssse3
66 0F 38 07 /r    phsubsw           Vdq,Wdq           ssse3
66 0F 38 08 /r    psignb            Vdq,Wdq           ssse3
66 0F 38 09 /r    psignw            Vdq,Wdq           ssse3
66 0F 38 0A /r    psignd            Vdq,Wdq           ssse3
66 0F 38 0B /r    pmulhrsw          Vdq,Wdq           ssse3
66 0F 38 1C /r    pabsb             Vdq,Wdq           ssse3
66 0F 38 1D /r    pabsw             Vdq,Wdq           ssse3
66 0F 38 1E /r    pabsd             Vdq,Wdq           ssse3
66 0F 3A 0F /r    palignr           Vdq,Wdq,Ib        ssse3

# SSE4.1
66 0F 38 10 /r    pblendvb          Vdq,Wdq,XMM0      sse4.1
66 0F 38 14 /r    blendvps          Vdq,Wdq,XMM0      sse4.1
66 0F 38 15 /r    blendvpd          Vdq,Wdq,XMM0      sse4.1
66 0F 38 17 /r    ptest             Vdq,Wdq           sse4.1  copy    -     -        oszapc   -
66 0F 38 20 /r    pmovsxbw          Vdq,Wq            sse4.1
66 0F 38 21 /r    pmovsxbd          Vdq,Wd            sse4.1
66 0F 38 22 /r    pmovsxbq          Vdq,Ww            sse4.1
66 0F 38 23 /r    pmovsxwd          Vdq,Wq            sse4.1
66 0F 38 24 /r    pmovsxwq          Vdq,Wd            sse4.1
66 0F 38 25 /r    pmovsxdq          Vdq,Wq            sse4.1
66 0F 38 30 /r    pmovzxbw          Vdq,Wq            sse4.1
66 0F 38 31 /r    pmovzxbd          Vdq,Wd            sse4.1
66 0F 38 32 /r    pmovzxbq          Vdq,Ww            sse4.1
66 0F 38 33 /r    pmovzxwd          Vdq,Wq            sse4.1
66 0F 38 34 /r    pmovzxwq          Vdq,Wd            sse4.1
66 0F 38 35 /r    pmovzxdq          Vdq,Wq            sse4.1
66 0F 38 28 /r    pmuldq            Vdq,Wdq           sse4.1
66 0F 38 29 /r    pcmpeqq           Vdq,Wdq           sse4.1
66 0F 38 2B /r    packusdw          Vdq,Wdq           sse4.1
66 0F 38 38 /r    pminsb            Vdq,Wdq           sse4.1
66 0F 38 39 /r    pminsd            Vdq,Wdq           sse4.1
66 0F 38 3A /r    pminuw            Vdq,Wdq           sse4.1
66 0F 38 3B /r    pminud            Vdq,Wdq           sse4.1
66 0F 38 3C /r    pmaxsb            Vdq,Wdq           sse4.1
66 0F 38 3D /r    pmaxsd            Vdq,Wdq           sse4.1
66 0F 38 3E /r    pmaxuw            Vdq,Wdq           sse4.1
66 0F 38 3F /r    pmaxud            Vdq,Wdq           sse4.1
66 0F 38 40 /r    pmulld            Vdq,Wdq           sse4.1
66 0F 38 2A /r    movntdqa          Vdq,Mdq           sse4.1
66 0F 38 41 /r    phminposuw        Vdq,Wdq           sse4.1
66 0F 3A 08 /r    roundps           Vps,Wps,Ib        sse4.1
66 0F 3A 09 /r    roundpd           Vpd,Wpd,Ib        sse4.1
66 0F 3A 0A /r    roundss           Vss,Wss,Ib        sse4.1
66 0F 3A 0B /r    roundsd           Vsd,Wsd,Ib        sse4.1
66 0F 3A 0C /r    blendps           Vps,Wps,Ib        sse4.1
66 0F 3A 0D /r    blendpd           Vpd,Wpd,Ib        sse4.1
66 0F 3A 0E /r    pblendw           Vdq,Wdq,Ib        sse4.1
66 0F 3A 40 /r    dpps              Vps,Wps,Ib        sse4.1
66 0F 3A 41 /r    dppd              Vpd,Wpd,Ib        sse4.1
66 0F 3A 42 /r    mpsadbw           Vdq,Wdq,Ib        sse4.1
66 0F 3A 14 /r    pextrb            Rd/Mb,Vdq,Ib      sse4.1
66 0F 3A 15 /r    pextrw            Rd/Mw,Vdq,Ib      sse4.1
66 0F 3A 16 /r    pextrd            Ed,Vdq,Ib         sse4.1
66 0F 3A 17 /r    extractps         Ed,Vdq,Ib         sse4.1
66 0F 3A 20 /r    pinsrb            Vdq,Rd/Mb,Ib      sse4.1
66 0F 3A 21 /r    insertps          Vdq,Wd,Ib         sse4.1
66 0F 3A 22 /r    pinsrd            Vdq,Ed,Ib         sse4.1

# SSE4.2; CRC32 and POPCNT stand among the integers
66 0F 38 37 /r    pcmpgtq           Vdq,Wdq           sse4.2
66 0F 3A 60 /r    pcmpestrm         Vdq,Wdq,Ib        sse4.2  copy    -     -        oszapc   -
66 0F 3A 61 /r    pcmpestri         Vdq,Wdq,Ib        sse4.2  copy    -     -        oszapc   -
66 0F 3A 62 /r    pcmpistrm         Vdq,Wdq,Ib        sse4.2  copy    -     -        oszapc   -
66 0F 3A 63 /r    pcmpistri         Vdq,Wdq,Ib        sse4.2  copy    -     -        oszapc   -

# Cryptography
66 0F 38 DB /r    aesimc            Vdq,Wdq           aes
66 0F 38 DC /r    aesenc            Vdq,Wdq           aes
66 0F 38 DD /r    aesenclast        Vdq,Wdq           aes
66 0F 38 DE /r    aesdec            Vdq,Wdq           aes
66 0F 38 DF /r    aesdeclast        Vdq,Wdq           aes
66 0F 3A DF /r    aeskeygenassist   Vdq,Wdq,Ib        aes
66 0F 3A 44 /r    pclmulqdq         Vdq,Wdq,Ib        pclmul
NP 0F 38 C8 /r    sha1nexte         Vdq,Wdq           sha
NP 0F 38 C9 /r    sha1msg1          Vdq,Wdq           sha
NP 0F 38 CA /r    sha1msg2          Vdq,Wdq           sha
NP 0F 38 CB /r    sha256rnds2       Vdq,Wdq,XMM0      sha
NP 0F 38 CC /r    sha256msg1        Vdq,Wdq           sha
NP 0F 38 CD /r    sha256msg2        Vdq,Wdq           sha
NP 0F 3A CC /r    sha1rnds4         Vdq,Wdq,Ib        sha

# State, fences, cache lines
NP 0F AE /0       fxsave            Mfx               fxsr    assist  -     -        -        -
NP 0F AE /1       fxrstor           Mfx               fxsr    assist  -     -        -        -
NP 0F AE /2       ldmxcsr           Md                sse
NP 0F AE /3       stmxcsr           Md                sse
NP 0F AE /7       clflush           Mb                sse2
NP 0F AE E8+i     lfence            -                 sse2
NP 0F AE F0+i     mfence            -                 sse2
NP 0F AE F8+i     sfence            -                 sse
NP 0F AE /4       xsave             M                 xsave   assist  -     -        -        -
NP 0F AE /5       xrstor            M                 xsave   assist  -     -        -        -
NP 0F AE /6       xsaveopt          M                 xsave   assist  -     -        -        -
NP 0F C7 /4       xsavec            M                 xsave   assist  -     -        -        -
NP 0F 01 D0       xgetbv            -                 xsave   assist  -     -        -        -
"""
