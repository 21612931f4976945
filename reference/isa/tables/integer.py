"""Integer instructions, control transfers, traps, hints: opcodes of one and two bytes.

One line is one encoding; :mod:`reference.isa.opcodes` says what the columns mean.
"""

from typing import Final

TABLE: Final = """\
# Arithmetic and logic: the eight operations that share one pattern (SDM volume 2, tables A-2 and A-6, group 1)
00 /r               add          Eb,Gb        base    copy    lock  -        oszapc   -
01 /r               add          Ev,Gv        base    copy    lock  -        oszapc   -
02 /r               add          Gb,Eb        base    copy    -     -        oszapc   -
03 /r               add          Gv,Ev        base    copy    -     -        oszapc   -
04                  add          AL,Ib        base    copy    -     -        oszapc   -
05                  add          eAX,Iz       base    copy    -     -        oszapc   -
08 /r               or           Eb,Gb        base    copy    lock  -        oszpc    a
09 /r               or           Ev,Gv        base    copy    lock  -        oszpc    a
0A /r               or           Gb,Eb        base    copy    -     -        oszpc    a
0B /r               or           Gv,Ev        base    copy    -     -        oszpc    a
0C                  or           AL,Ib        base    copy    -     -        oszpc    a
0D                  or           eAX,Iz       base    copy    -     -        oszpc    a
10 /r               adc          Eb,Gb        base    copy    lock  c        oszapc   -
11 /r               adc          Ev,Gv        base    copy    lock  c        oszapc   -
12 /r               adc          Gb,Eb        base    copy    -     c        oszapc   -
13 /r               adc          Gv,Ev        base    copy    -     c        oszapc   -
14                  adc          AL,Ib        base    copy    -     c        oszapc   -
15                  adc          eAX,Iz       base    copy    -     c        oszapc   -
18 /r               sbb          Eb,Gb        base    copy    lock  c        oszapc   -
19 /r               sbb          Ev,Gv        base    copy    lock  c        oszapc   -
1A /r               sbb          Gb,Eb        base    copy    -     c        oszapc   -
1B /r               sbb          Gv,Ev        base    copy    -     c        oszapc   -
1C                  sbb          AL,Ib        base    copy    -     c        oszapc   -
1D                  sbb          eAX,Iz       base    copy    -     c        oszapc   -
20 /r               and          Eb,Gb        base    copy    lock  -        oszpc    a
21 /r               and          Ev,Gv        base    copy    lock  -        oszpc    a
22 /r               and          Gb,Eb        base    copy    -     -        oszpc    a
23 /r               and          Gv,Ev        base    copy    -     -        oszpc    a
24                  and          AL,Ib        base    copy    -     -        oszpc    a
25                  and          eAX,Iz       base    copy    -     -        oszpc    a
28 /r               sub          Eb,Gb        base    copy    lock  -        oszapc   -
29 /r               sub          Ev,Gv        base    copy    lock  -        oszapc   -
2A /r               sub          Gb,Eb        base    copy    -     -        oszapc   -
2B /r               sub          Gv,Ev        base    copy    -     -        oszapc   -
2C                  sub          AL,Ib        base    copy    -     -        oszapc   -
2D                  sub          eAX,Iz       base    copy    -     -        oszapc   -
30 /r               xor          Eb,Gb        base    copy    lock  -        oszpc    a
31 /r               xor          Ev,Gv        base    copy    lock  -        oszpc    a
32 /r               xor          Gb,Eb        base    copy    -     -        oszpc    a
33 /r               xor          Gv,Ev        base    copy    -     -        oszpc    a
34                  xor          AL,Ib        base    copy    -     -        oszpc    a
35                  xor          eAX,Iz       base    copy    -     -        oszpc    a
38 /r               cmp          Eb,Gb        base    copy    -     -        oszapc   -
39 /r               cmp          Ev,Gv        base    copy    -     -        oszapc   -
3A /r               cmp          Gb,Eb        base    copy    -     -        oszapc   -
3B /r               cmp          Gv,Ev        base    copy    -     -        oszapc   -
3C                  cmp          AL,Ib        base    copy    -     -        oszapc   -
3D                  cmp          eAX,Iz       base    copy    -     -        oszapc   -
80 /0               add          Eb,Ib        base    copy    lock  -        oszapc   -
80 /1               or           Eb,Ib        base    copy    lock  -        oszpc    a
80 /2               adc          Eb,Ib        base    copy    lock  c        oszapc   -
80 /3               sbb          Eb,Ib        base    copy    lock  c        oszapc   -
80 /4               and          Eb,Ib        base    copy    lock  -        oszpc    a
80 /5               sub          Eb,Ib        base    copy    lock  -        oszapc   -
80 /6               xor          Eb,Ib        base    copy    lock  -        oszpc    a
80 /7               cmp          Eb,Ib        base    copy    -     -        oszapc   -
81 /0               add          Ev,Iz        base    copy    lock  -        oszapc   -
81 /1               or           Ev,Iz        base    copy    lock  -        oszpc    a
81 /2               adc          Ev,Iz        base    copy    lock  c        oszapc   -
81 /3               sbb          Ev,Iz        base    copy    lock  c        oszapc   -
81 /4               and          Ev,Iz        base    copy    lock  -        oszpc    a
81 /5               sub          Ev,Iz        base    copy    lock  -        oszapc   -
81 /6               xor          Ev,Iz        base    copy    lock  -        oszpc    a
81 /7               cmp          Ev,Iz        base    copy    -     -        oszapc   -
# 82 is 80 under another number, in 32-bit mode only
82 /0               add          Eb,Ib        base    copy    lock  -        oszapc   -
82 /1               or           Eb,Ib        base    copy    lock  -        oszpc    a
82 /2               adc          Eb,Ib        base    copy    lock  c        oszapc   -
82 /3               sbb          Eb,Ib        base    copy    lock  c        oszapc   -
82 /4               and          Eb,Ib        base    copy    lock  -        oszpc    a
82 /5               sub          Eb,Ib        base    copy    lock  -        oszapc   -
82 /6               xor          Eb,Ib        base    copy    lock  -        oszpc    a
82 /7               cmp          Eb,Ib        base    copy    -     -        oszapc   -
83 /0               add          Ev,Ibs       base    copy    lock  -        oszapc   -
83 /1               or           Ev,Ibs       base    copy    lock  -        oszpc    a
83 /2               adc          Ev,Ibs       base    copy    lock  c        oszapc   -
83 /3               sbb          Ev,Ibs       base    copy    lock  c        oszapc   -
83 /4               and          Ev,Ibs       base    copy    lock  -        oszpc    a
83 /5               sub          Ev,Ibs       base    copy    lock  -        oszapc   -
83 /6               xor          Ev,Ibs       base    copy    lock  -        oszpc    a
83 /7               cmp          Ev,Ibs       base    copy    -     -        oszapc   -
84 /r               test         Eb,Gb        base    copy    -     -        oszpc    a
85 /r               test         Ev,Gv        base    copy    -     -        oszpc    a
A8                  test         AL,Ib        base    copy    -     -        oszpc    a
A9                  test         eAX,Iz       base    copy    -     -        oszpc    a
40+r                inc          Zv           base    copy    -     -        oszap    -
48+r                dec          Zv           base    copy    -     -        oszap    -
FE /0               inc          Eb           base    copy    lock  -        oszap    -
FE /1               dec          Eb           base    copy    lock  -        oszap    -
FF /0               inc          Ev           base    copy    lock  -        oszap    -
FF /1               dec          Ev           base    copy    lock  -        oszap    -
# /1 of group 3 is TEST under another number
F6 /0               test         Eb,Ib        base    copy    -     -        oszpc    a
F6 /1               test         Eb,Ib        base    copy    -     -        oszpc    a
F6 /2               not          Eb           base    copy    lock  -        -        -
F6 /3               neg          Eb           base    copy    lock  -        oszapc   -
F6 /4               mul          Eb           base    copy    -     -        oc       szap
F6 /5               imul         Eb           base    copy    -     -        oc       szap
F6 /6               div          Eb           base    copy    -     -        -        oszapc
F6 /7               idiv         Eb           base    copy    -     -        -        oszapc
F7 /0               test         Ev,Iz        base    copy    -     -        oszpc    a
F7 /1               test         Ev,Iz        base    copy    -     -        oszpc    a
F7 /2               not          Ev           base    copy    lock  -        -        -
F7 /3               neg          Ev           base    copy    lock  -        oszapc   -
F7 /4               mul          Ev           base    copy    -     -        oc       szap
F7 /5               imul         Ev           base    copy    -     -        oc       szap
F7 /6               div          Ev           base    copy    -     -        -        oszapc
F7 /7               idiv         Ev           base    copy    -     -        -        oszapc
69 /r               imul         Gv,Ev,Iz     base    copy    -     -        oc       szap
6B /r               imul         Gv,Ev,Ibs    base    copy    -     -        oc       szap
0F AF /r            imul         Gv,Ev        base    copy    -     -        oc       szap
0F B0 /r            cmpxchg      Eb,Gb        base    copy    lock  -        oszapc   -
0F B1 /r            cmpxchg      Ev,Gv        base    copy    lock  -        oszapc   -
0F C7 /1            cmpxchg8b    Mq           base    copy    lock  -        z        -
0F C0 /r            xadd         Eb,Gb        base    copy    lock  -        oszapc   -
0F C1 /r            xadd         Ev,Gv        base    copy    lock  -        oszapc   -

# Decimal arithmetic
27                  daa          -            base    copy    -     ac       szapc    o
2F                  das          -            base    copy    -     ac       szapc    o
37                  aaa          -            base    copy    -     a        ac       oszp
3F                  aas          -            base    copy    -     a        ac       oszp
D4                  aam          Ib           base    copy    -     -        szp      oac
D5                  aad          Ib           base    copy    -     -        szp      oac

# Shifts and rotates; a count of zero changes no flag. /6 is SHL under another number
C0 /0               rol          Eb,Ib        base    copy    -     oc       oc       o
C0 /1               ror          Eb,Ib        base    copy    -     oc       oc       o
C0 /2               rcl          Eb,Ib        base    copy    -     oc       oc       o
C0 /3               rcr          Eb,Ib        base    copy    -     oc       oc       o
C0 /4               shl          Eb,Ib        base    copy    -     oszapc   oszapc   oac
C0 /5               shr          Eb,Ib        base    copy    -     oszapc   oszapc   oac
C0 /6               shl          Eb,Ib        base    copy    -     oszapc   oszapc   oac
C0 /7               sar          Eb,Ib        base    copy    -     oszapc   oszapc   oa
C1 /0               rol          Ev,Ib        base    copy    -     oc       oc       o
C1 /1               ror          Ev,Ib        base    copy    -     oc       oc       o
C1 /2               rcl          Ev,Ib        base    copy    -     oc       oc       o
C1 /3               rcr          Ev,Ib        base    copy    -     oc       oc       o
C1 /4               shl          Ev,Ib        base    copy    -     oszapc   oszapc   oac
C1 /5               shr          Ev,Ib        base    copy    -     oszapc   oszapc   oac
C1 /6               shl          Ev,Ib        base    copy    -     oszapc   oszapc   oac
C1 /7               sar          Ev,Ib        base    copy    -     oszapc   oszapc   oa
D0 /0               rol          Eb,1         base    copy    -     -        oc       -
D0 /1               ror          Eb,1         base    copy    -     -        oc       -
D0 /2               rcl          Eb,1         base    copy    -     c        oc       -
D0 /3               rcr          Eb,1         base    copy    -     c        oc       -
D0 /4               shl          Eb,1         base    copy    -     -        oszpc    a
D0 /5               shr          Eb,1         base    copy    -     -        oszpc    a
D0 /6               shl          Eb,1         base    copy    -     -        oszpc    a
D0 /7               sar          Eb,1         base    copy    -     -        oszpc    a
D1 /0               rol          Ev,1         base    copy    -     -        oc       -
D1 /1               ror          Ev,1         base    copy    -     -        oc       -
D1 /2               rcl          Ev,1         base    copy    -     c        oc       -
D1 /3               rcr          Ev,1         base    copy    -     c        oc       -
D1 /4               shl          Ev,1         base    copy    -     -        oszpc    a
D1 /5               shr          Ev,1         base    copy    -     -        oszpc    a
D1 /6               shl          Ev,1         base    copy    -     -        oszpc    a
D1 /7               sar          Ev,1         base    copy    -     -        oszpc    a
D2 /0               rol          Eb,CL        base    copy    -     oc       oc       o
D2 /1               ror          Eb,CL        base    copy    -     oc       oc       o
D2 /2               rcl          Eb,CL        base    copy    -     oc       oc       o
D2 /3               rcr          Eb,CL        base    copy    -     oc       oc       o
D2 /4               shl          Eb,CL        base    copy    -     oszapc   oszapc   oac
D2 /5               shr          Eb,CL        base    copy    -     oszapc   oszapc   oac
D2 /6               shl          Eb,CL        base    copy    -     oszapc   oszapc   oac
D2 /7               sar          Eb,CL        base    copy    -     oszapc   oszapc   oa
D3 /0               rol          Ev,CL        base    copy    -     oc       oc       o
D3 /1               ror          Ev,CL        base    copy    -     oc       oc       o
D3 /2               rcl          Ev,CL        base    copy    -     oc       oc       o
D3 /3               rcr          Ev,CL        base    copy    -     oc       oc       o
D3 /4               shl          Ev,CL        base    copy    -     oszapc   oszapc   oac
D3 /5               shr          Ev,CL        base    copy    -     oszapc   oszapc   oac
D3 /6               shl          Ev,CL        base    copy    -     oszapc   oszapc   oac
D3 /7               sar          Ev,CL        base    copy    -     oszapc   oszapc   oa
0F A4 /r            shld         Ev,Gv,Ib     base    copy    -     oszapc   oszapc   oszapc
0F A5 /r            shld         Ev,Gv,CL     base    copy    -     oszapc   oszapc   oszapc
0F AC /r            shrd         Ev,Gv,Ib     base    copy    -     oszapc   oszapc   oszapc
0F AD /r            shrd         Ev,Gv,CL     base    copy    -     oszapc   oszapc   oszapc

# Bits
0F A3 /r            bt           Ev,Gv        base    copy    -     -        c        osap
0F AB /r            bts          Ev,Gv        base    copy    lock  -        c        osap
0F B3 /r            btr          Ev,Gv        base    copy    lock  -        c        osap
0F BB /r            btc          Ev,Gv        base    copy    lock  -        c        osap
0F BA /4            bt           Ev,Ib        base    copy    -     -        c        osap
0F BA /5            bts          Ev,Ib        base    copy    lock  -        c        osap
0F BA /6            btr          Ev,Ib        base    copy    lock  -        c        osap
0F BA /7            btc          Ev,Ib        base    copy    lock  -        c        osap
0F BC /r            bsf          Gv,Ev        base    copy    -     -        z        osapc
0F BD /r            bsr          Gv,Ev        base    copy    -     -        z        osapc
F3 0F BC /r         tzcnt        Gv,Ev        bmi1    copy    -     -        zc       osap
F3 0F BD /r         lzcnt        Gv,Ev        lzcnt   copy    -     -        zc       osap
F3 0F B8 /r         popcnt       Gv,Ev        popcnt  copy    -     -        oszapc   -
F2 0F 38 F0 /r      crc32        Gd,Eb        sse4.2  copy    -     -        -        -
F2 0F 38 F1 /r      crc32        Gd,Ev        sse4.2  copy    -     -        -        -
66 0F 38 F6 /r      adcx         Gd,Ed        adx     copy    -     c        c        -
F3 0F 38 F6 /r      adox         Gd,Ed        adx     copy    -     o        o        -
# With 66 the result of BSWAP is undefined: refused
NP 0F C8+r          bswap        Zd           base    copy    -     -        -        -

# Moves
88 /r               mov          Eb,Gb        base    copy    -     -        -        -
89 /r               mov          Ev,Gv        base    copy    -     -        -        -
8A /r               mov          Gb,Eb        base    copy    -     -        -        -
8B /r               mov          Gv,Ev        base    copy    -     -        -        -
A0                  mov          AL,Ob        base    copy    -     -        -        -
A1                  mov          eAX,Ov       base    copy    -     -        -        -
A2                  mov          Ob,AL        base    copy    -     -        -        -
A3                  mov          Ov,eAX       base    copy    -     -        -        -
B0+r                mov          Zb,Ib        base    copy    -     -        -        -
B8+r                mov          Zv,Iv        base    copy    -     -        -        -
C6 /0               mov          Eb,Ib        base    copy    -     -        -        -
C7 /0               mov          Ev,Iz        base    copy    -     -        -        -
0F B6 /r            movzx        Gv,Eb        base    copy    -     -        -        -
0F B7 /r            movzx        Gv,Ew        base    copy    -     -        -        -
0F BE /r            movsx        Gv,Eb        base    copy    -     -        -        -
0F BF /r            movsx        Gv,Ew        base    copy    -     -        -        -
NFx 0F 38 F0 /r     movbe        Gv,Mv        movbe   copy    -     -        -        -
NFx 0F 38 F1 /r     movbe        Mv,Gv        movbe   copy    -     -        -        -
NP 0F C3 /r         movnti       Md,Gd        sse2    copy    -     -        -        -
86 /r               xchg         Eb,Gb        base    copy    lock  -        -        -
87 /r               xchg         Ev,Gv        base    copy    lock  -        -        -
90+r                xchg         Zv,eAX       base    copy    -     -        -        -
8D /r               lea          Gv,M         base    copy    -     -        -        -
98                  cwde         -            base    copy    -     -        -        -
99                  cdq          -            base    copy    -     -        -        -
D7                  xlat         BBb          base    copy    -     -        -        -
0F 40 /r            cmovo        Gv,Ev        cmov    copy    -     o        -        -
0F 41 /r            cmovno       Gv,Ev        cmov    copy    -     o        -        -
0F 42 /r            cmovb        Gv,Ev        cmov    copy    -     c        -        -
0F 43 /r            cmovae       Gv,Ev        cmov    copy    -     c        -        -
0F 44 /r            cmove        Gv,Ev        cmov    copy    -     z        -        -
0F 45 /r            cmovne       Gv,Ev        cmov    copy    -     z        -        -
0F 46 /r            cmovbe       Gv,Ev        cmov    copy    -     zc       -        -
0F 47 /r            cmova        Gv,Ev        cmov    copy    -     zc       -        -
0F 48 /r            cmovs        Gv,Ev        cmov    copy    -     s        -        -
0F 49 /r            cmovns       Gv,Ev        cmov    copy    -     s        -        -
0F 4A /r            cmovp        Gv,Ev        cmov    copy    -     p        -        -
0F 4B /r            cmovnp       Gv,Ev        cmov    copy    -     p        -        -
0F 4C /r            cmovl        Gv,Ev        cmov    copy    -     os       -        -
0F 4D /r            cmovge       Gv,Ev        cmov    copy    -     os       -        -
0F 4E /r            cmovle       Gv,Ev        cmov    copy    -     osz      -        -
0F 4F /r            cmovg        Gv,Ev        cmov    copy    -     osz      -        -
0F 90 /r            seto         Eb           base    copy    -     o        -        -
0F 91 /r            setno        Eb           base    copy    -     o        -        -
0F 92 /r            setb         Eb           base    copy    -     c        -        -
0F 93 /r            setae        Eb           base    copy    -     c        -        -
0F 94 /r            sete         Eb           base    copy    -     z        -        -
0F 95 /r            setne        Eb           base    copy    -     z        -        -
0F 96 /r            setbe        Eb           base    copy    -     zc       -        -
0F 97 /r            seta         Eb           base    copy    -     zc       -        -
0F 98 /r            sets         Eb           base    copy    -     s        -        -
0F 99 /r            setns        Eb           base    copy    -     s        -        -
0F 9A /r            setp         Eb           base    copy    -     p        -        -
0F 9B /r            setnp        Eb           base    copy    -     p        -        -
0F 9C /r            setl         Eb           base    copy    -     os       -        -
0F 9D /r            setge        Eb           base    copy    -     os       -        -
0F 9E /r            setle        Eb           base    copy    -     osz      -        -
0F 9F /r            setg         Eb           base    copy    -     osz      -        -

# Stack
50+r                push         Zv           base    copy    -     -        -        -
58+r                pop          Zv           base    copy    -     -        -        -
68                  push         Iz           base    copy    -     -        -        -
6A                  push         Ibs          base    copy    -     -        -        -
FF /6               push         Ev           base    copy    -     -        -        -
8F /0               pop          Ev           base    copy    -     -        -        -
60                  pusha        -            base    copy    -     -        -        -
# Processors fault half-way with some registers popped already; the reference semantics pop all or none.
61                  popa         -            base    assist  -     -        -        -
9C                  pushf        -            base    copy    -     oszapcd  -        -
9D                  popf         -            base    rewrite -     -        oszapcd  -
C8                  enter        Iw,Ib        base    copy    -     -        -        -
C9                  leave        -            base    copy    -     -        -        -

# Strings. With REP a count of zero changes no flag
A4                  movs         Yb,Xb        base    copy    rep   d        -        -
A5                  movs         Yv,Xv        base    copy    rep   d        -        -
A6                  cmps         Xb,Yb        base    copy    repe  oszapcd  oszapc   -
A7                  cmps         Xv,Yv        base    copy    repe  oszapcd  oszapc   -
AA                  stos         Yb,AL        base    copy    rep   d        -        -
AB                  stos         Yv,eAX       base    copy    rep   d        -        -
AC                  lods         AL,Xb        base    copy    rep   d        -        -
AD                  lods         eAX,Xv       base    copy    rep   d        -        -
AE                  scas         AL,Yb        base    copy    repe  oszapcd  oszapc   -
AF                  scas         eAX,Yv       base    copy    repe  oszapcd  oszapc   -

# Flags
F5                  cmc          -            base    copy    -     c        c        -
F8                  clc          -            base    copy    -     -        c        -
F9                  stc          -            base    copy    -     -        c        -
FC                  cld          -            base    copy    -     -        d        -
FD                  std          -            base    copy    -     -        d        -
9E                  sahf         -            base    copy    -     -        szapc    -
9F                  lahf         -            base    copy    -     szapc    -        -

# Control transfers
70                  jo           Jb           base    rewrite -     o        -        -
71                  jno          Jb           base    rewrite -     o        -        -
72                  jb           Jb           base    rewrite -     c        -        -
73                  jae          Jb           base    rewrite -     c        -        -
74                  je           Jb           base    rewrite -     z        -        -
75                  jne          Jb           base    rewrite -     z        -        -
76                  jbe          Jb           base    rewrite -     zc       -        -
77                  ja           Jb           base    rewrite -     zc       -        -
78                  js           Jb           base    rewrite -     s        -        -
79                  jns          Jb           base    rewrite -     s        -        -
7A                  jp           Jb           base    rewrite -     p        -        -
7B                  jnp          Jb           base    rewrite -     p        -        -
7C                  jl           Jb           base    rewrite -     os       -        -
7D                  jge          Jb           base    rewrite -     os       -        -
7E                  jle          Jb           base    rewrite -     osz      -        -
7F                  jg           Jb           base    rewrite -     osz      -        -
0F 80               jo           Jz           base    rewrite -     o        -        -
0F 81               jno          Jz           base    rewrite -     o        -        -
0F 82               jb           Jz           base    rewrite -     c        -        -
0F 83               jae          Jz           base    rewrite -     c        -        -
0F 84               je           Jz           base    rewrite -     z        -        -
0F 85               jne          Jz           base    rewrite -     z        -        -
0F 86               jbe          Jz           base    rewrite -     zc       -        -
0F 87               ja           Jz           base    rewrite -     zc       -        -
0F 88               js           Jz           base    rewrite -     s        -        -
0F 89               jns          Jz           base    rewrite -     s        -        -
0F 8A               jp           Jz           base    rewrite -     p        -        -
0F 8B               jnp          Jz           base    rewrite -     p        -        -
0F 8C               jl           Jz           base    rewrite -     os       -        -
0F 8D               jge          Jz           base    rewrite -     os       -        -
0F 8E               jle          Jz           base    rewrite -     osz      -        -
0F 8F               jg           Jz           base    rewrite -     osz      -        -
E0                  loopne       Jb           base    rewrite -     z        -        -
E1                  loope        Jb           base    rewrite -     z        -        -
E2                  loop         Jb           base    rewrite -     -        -        -
E3                  jecxz        Jb           base    rewrite -     -        -        -
E8                  call         Jz           base    rewrite -     -        -        -
E9                  jmp          Jz           base    rewrite -     -        -        -
EB                  jmp          Jb           base    rewrite -     -        -        -
FF /2               call         Ev           base    rewrite -     -        -        -
FF /4               jmp          Ev           base    rewrite -     -        -        -
C2                  ret          Iw           base    rewrite -     -        -        -
C3                  ret          -            base    rewrite -     -        -        -
62 /r               bound        Gv,Ma        base    copy    -     -        -        -

# Traps to the host
CC                  int3         -            base    trap    -     -        -        -
CD                  int          Ib           base    trap    -     -        -        -
CE                  into         -            base    trap    -     o        -        -
0F 05               syscall      -            base    trap    -     -        -        -
0F 34               sysenter     -            base    trap    -     -        -        -
0F 0B               ud2          -            base    trap    -     -        -        -
0F B9 /r            ud1          Gd,Ed        base    trap    -     -        -        -
0F FF /r            ud0          Gd,Ed        base    trap    -     -        -        -
F4                  hlt          -            base    trap    -     -        -        -

# No operations and hints. Other F3 0F 1E (RDSSP) stay the no-operations that they are without shadow stacks
90                  nop          -            base    copy    -     -        -        -
F3 90               pause        -            base    copy    -     -        -        -
F3 0F 1E FA         endbr64      -            base    copy    -     -        -        -
F3 0F 1E FB         endbr32      -            base    copy    -     -        -        -
0F 0D /0            prefetch     Mb           base    copy    -     -        -        -
0F 0D /1            prefetchw    Mb           base    copy    -     -        -        -
0F 0D /2            prefetchwt1  Mb           base    copy    -     -        -        -
0F 0D /3            prefetch     Mb           base    copy    -     -        -        -
0F 0D /4            prefetch     Mb           base    copy    -     -        -        -
0F 0D /5            prefetch     Mb           base    copy    -     -        -        -
0F 0D /6            prefetch     Mb           base    copy    -     -        -        -
0F 0D /7            prefetch     Mb           base    copy    -     -        -        -
0F 18 /0            prefetchnta  Mb           base    copy    -     -        -        -
0F 18 /1            prefetcht0   Mb           base    copy    -     -        -        -
0F 18 /2            prefetcht1   Mb           base    copy    -     -        -        -
0F 18 /3            prefetcht2   Mb           base    copy    -     -        -        -
0F 18 /0            nop          Rv           base    copy    -     -        -        -
0F 18 /1            nop          Rv           base    copy    -     -        -        -
0F 18 /2            nop          Rv           base    copy    -     -        -        -
0F 18 /3            nop          Rv           base    copy    -     -        -        -
0F 18 /4            nop          Rv/M         base    copy    -     -        -        -
0F 18 /5            nop          Rv/M         base    copy    -     -        -        -
0F 18 /6            nop          Rv/M         base    copy    -     -        -        -
0F 18 /7            nop          Rv/M         base    copy    -     -        -        -
0F 19 /r            nop          Rv/M         base    copy    -     -        -        -
0F 1C /r            nop          Rv/M         base    copy    -     -        -        -
0F 1D /r            nop          Rv/M         base    copy    -     -        -        -
0F 1E /r            nop          Rv/M         base    copy    -     -        -        -
0F 1F /r            nop          Rv/M         base    copy    -     -        -        -

# What the processor is, what time it is, and chance
0F A2               cpuid        -            cpuid   assist  -     -        -        -
0F 31               rdtsc        -            time    assist  -     -        -        -
0F 01 F9            rdtscp       -            time    assist  -     -        -        -
NFx 0F C7 /6        rdrand       Rv           random  assist  -     -        oszapc   -
NFx 0F C7 /7        rdseed       Rv           random  assist  -     -        oszapc   -

# The thread pointer: only where the policy has one
8C /5               mov          Rv/Mw,GS     base    assist  -     -        -        -
8E /5               mov          GS,Ew        base    assist  -     -        -        -
0F A8               push         GS           base    assist  -     -        -        -
0F A9               pop          GS           base    assist  -     -        -        -
"""
