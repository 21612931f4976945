"""Instructions that no guest may have: they stand here so that a message can name them.

One line is one encoding; :mod:`reference.isa.opcodes` says what the columns mean.
"""

from typing import Final

TABLE: Final = """\
# Segment registers: loads, stores, far pointers
06                  push         ES           base    refuse  -     -        -        -
07                  pop          ES           base    refuse  -     -        -        -
0E                  push         CS           base    refuse  -     -        -        -
16                  push         SS           base    refuse  -     -        -        -
17                  pop          SS           base    refuse  -     -        -        -
1E                  push         DS           base    refuse  -     -        -        -
1F                  pop          DS           base    refuse  -     -        -        -
0F A0               push         FS           base    refuse  -     -        -        -
0F A1               pop          FS           base    refuse  -     -        -        -
8C /r               mov          Rv/Mw,Sw     base    refuse  -     -        -        -
8E /r               mov          Sw,Ew        base    refuse  -     -        -        -
C4 /r               les          Gz,Mp        base    refuse  -     -        -        -
C5 /r               lds          Gz,Mp        base    refuse  -     -        -        -
0F B2 /r            lss          Gv,Mp        base    refuse  -     -        -        -
0F B4 /r            lfs          Gv,Mp        base    refuse  -     -        -        -
0F B5 /r            lgs          Gv,Mp        base    refuse  -     -        -        -

# Far transfers and returns from interrupts
9A                  callf        Ap           base    refuse  -     -        -        -
EA                  jmpf         Ap           base    refuse  -     -        -        -
FF /3               callf        Mp           base    refuse  -     -        -        -
FF /5               jmpf         Mp           base    refuse  -     -        -        -
CA                  retf         Iw           base    refuse  -     -        -        -
CB                  retf         -            base    refuse  -     -        -        -
CF                  iret         -            base    refuse  -     -        -        -
0F 07               sysret       -            base    refuse  -     -        -        -
0F 35               sysexit      -            base    refuse  -     -        -        -
0F AA               rsm          -            base    refuse  -     -        -        -
F1                  icebp        -            base    refuse  -     -        -        -

# Input, output, interrupt flag
6C                  ins          Yb,DX        base    refuse  -     -        -        -
6D                  ins          Yz,DX        base    refuse  -     -        -        -
6E                  outs         DX,Xb        base    refuse  -     -        -        -
6F                  outs         DX,Xz        base    refuse  -     -        -        -
E4                  in           AL,Ib        base    refuse  -     -        -        -
E5                  in           eAX,Ib       base    refuse  -     -        -        -
E6                  out          Ib,AL        base    refuse  -     -        -        -
E7                  out          Ib,eAX       base    refuse  -     -        -        -
EC                  in           AL,DX        base    refuse  -     -        -        -
ED                  in           eAX,DX       base    refuse  -     -        -        -
EE                  out          DX,AL        base    refuse  -     -        -        -
EF                  out          DX,eAX       base    refuse  -     -        -        -
FA                  cli          -            base    refuse  -     -        -        -
FB                  sti          -            base    refuse  -     -        -        -

# What would show or change the host's descriptors and control state
63 /r               arpl         Ew,Gw        base    refuse  -     -        -        -
0F 02 /r            lar          Gv,Ew        base    refuse  -     -        -        -
0F 03 /r            lsl          Gv,Ew        base    refuse  -     -        -        -
0F 00 /0            sldt         Rv/Mw        base    refuse  -     -        -        -
0F 00 /1            str          Rv/Mw        base    refuse  -     -        -        -
0F 00 /2            lldt         Ew           base    refuse  -     -        -        -
0F 00 /3            ltr          Ew           base    refuse  -     -        -        -
0F 00 /4            verr         Ew           base    refuse  -     -        -        -
0F 00 /5            verw         Ew           base    refuse  -     -        -        -
0F 01 /0            sgdt         Ms           base    refuse  -     -        -        -
0F 01 /1            sidt         Ms           base    refuse  -     -        -        -
0F 01 /2            lgdt         Ms           base    refuse  -     -        -        -
0F 01 /3            lidt         Ms           base    refuse  -     -        -        -
0F 01 /4            smsw         Rv/Mw        base    refuse  -     -        -        -
0F 01 /6            lmsw         Ew           base    refuse  -     -        -        -
0F 01 /7            invlpg       Mb           base    refuse  -     -        -        -
0F 06               clts         -            base    refuse  -     -        -        -
0F 08               invd         -            base    refuse  -     -        -        -
0F 09               wbinvd       -            base    refuse  -     -        -        -
0F 20 /r            mov          Rd,Cd        base    refuse  -     -        -        -
0F 21 /r            mov          Rd,Dd        base    refuse  -     -        -        -
0F 22 /r            mov          Cd,Rd        base    refuse  -     -        -        -
0F 23 /r            mov          Dd,Rd        base    refuse  -     -        -        -
0F 30               wrmsr        -            base    refuse  -     -        -        -
0F 32               rdmsr        -            base    refuse  -     -        -        -
0F 33               rdpmc        -            base    refuse  -     -        -        -
0F 37               getsec       -            base    refuse  -     -        -        -
66 0F 38 82 /r      invpcid      Gd,Mdq       base    refuse  -     -        -        -

# Monitors, protection keys, shadow stacks, enclaves, transactions, user interrupts
0F 01 C8            monitor      -            base    refuse  -     -        -        -
0F 01 C9            mwait        -            base    refuse  -     -        -        -
0F 01 CA            clac         -            base    refuse  -     -        -        -
0F 01 CB            stac         -            base    refuse  -     -        -        -
0F 01 CF            encls        -            base    refuse  -     -        -        -
0F 01 C0            enclv        -            base    refuse  -     -        -        -
0F 01 D7            enclu        -            base    refuse  -     -        -        -
0F 01 D1            xsetbv       -            base    refuse  -     -        -        -
0F 01 D5            xend         -            base    refuse  -     -        -        -
0F 01 D6            xtest        -            base    refuse  -     -        -        -
0F 01 E8            serialize    -            base    refuse  -     -        -        -
0F 01 EE            rdpkru       -            base    refuse  -     -        -        -
0F 01 EF            wrpkru       -            base    refuse  -     -        -        -
0F 01 FA            monitorx     -            base    refuse  -     -        -        -
0F 01 FB            mwaitx       -            base    refuse  -     -        -        -
0F 01 FC            clzero       -            base    refuse  -     -        -        -
0F 01 FD            rdpru        -            base    refuse  -     -        -        -
C6 F8               xabort       Ib           base    refuse  -     -        -        -
C7 F8               xbegin       Jz           base    refuse  -     -        -        -
F3 0F 01 E8         setssbsy     -            base    refuse  -     -        -        -
F3 0F 01 EA         saveprevssp  -            base    refuse  -     -        -        -
F3 0F 01 /5         rstorssp     Mq           base    refuse  -     -        -        -
F3 0F AE /5         incssp       Rd           base    refuse  -     -        -        -
F3 0F AE /6         clrssbsy     Mq           base    refuse  -     -        -        -
NP 0F 38 F6 /r      wrss         Md,Gd        base    refuse  -     -        -        -
66 0F 38 F5 /r      wruss        Md,Gd        base    refuse  -     -        -        -
F3 0F AE F0+i       umonitor     -            base    refuse  -     -        -        -
F2 0F AE F0+i       umwait       -            base    refuse  -     -        -        -
66 0F AE F0+i       tpause       -            base    refuse  -     -        -        -
F3 0F C7 /7         rdpid        Rd           base    refuse  -     -        -        -
F3 0F AE /4         ptwrite      Ed           base    refuse  -     -        -        -
NP 0F C7 /3         xrstors      M            base    refuse  -     -        -        -
NP 0F C7 /5         xsaves       M            base    refuse  -     -        -        -
66 0F 38 F8 /r      movdir64b    Gd,M         base    refuse  -     -        -        -
F2 0F 38 F8 /r      enqcmd       Gd,M         base    refuse  -     -        -        -
F3 0F 38 F8 /r      enqcmds      Gd,M         base    refuse  -     -        -        -
NP 0F 38 F9 /r      movdiri      Md,Gd        base    refuse  -     -        -        -
66 0F AE /6         clwb         Mb           base    refuse  -     -        -        -
66 0F AE /7         clflushopt   Mb           base    refuse  -     -        -        -

# Bound registers: on a processor that has them these are no hints
0F 1A /r            bndmov       Ev           base    refuse  -     -        -        -
0F 1B /r            bndmk        Ev           base    refuse  -     -        -        -

# Virtual machines
0F 01 C1            vmcall       -            base    refuse  -     -        -        -
0F 01 C2            vmlaunch     -            base    refuse  -     -        -        -
0F 01 C3            vmresume     -            base    refuse  -     -        -        -
0F 01 C4            vmxoff       -            base    refuse  -     -        -        -
0F 01 D4            vmfunc       -            base    refuse  -     -        -        -
0F 01 D8            vmrun        -            base    refuse  -     -        -        -
0F 01 D9            vmmcall      -            base    refuse  -     -        -        -
0F 01 DA            vmload       -            base    refuse  -     -        -        -
0F 01 DB            vmsave       -            base    refuse  -     -        -        -
0F 01 DC            stgi         -            base    refuse  -     -        -        -
0F 01 DD            clgi         -            base    refuse  -     -        -        -
0F 01 DE            skinit       -            base    refuse  -     -        -        -
0F 01 DF            invlpga      -            base    refuse  -     -        -        -
0F 78 /r            vmread       Ed,Gd        base    refuse  -     -        -        -
0F 79 /r            vmwrite      Gd,Ed        base    refuse  -     -        -        -
NP 0F C7 /6         vmptrld      Mq           base    refuse  -     -        -        -
66 0F C7 /6         vmclear      Mq           base    refuse  -     -        -        -
F3 0F C7 /6         vmxon        Mq           base    refuse  -     -        -        -
NP 0F C7 /7         vmptrst      Mq           base    refuse  -     -        -        -
66 0F 38 80 /r      invept       Gd,Mdq       base    refuse  -     -        -        -
66 0F 38 81 /r      invvpid      Gd,Mdq       base    refuse  -     -        -        -

# Never documented, or dropped by every processor that a host has today
D6                  salc         -            base    refuse  -     -        -        -
0F 0E               femms        -            base    refuse  -     -        -        -
0F 0F /r            3dnow        Pq,Qq,Ib     base    refuse  -     -        -        -
"""
