"""The x87: every encoding that is documented, FFREEP, and no hole.

One line is one encoding; :mod:`reference.isa.opcodes` says what the columns mean.
"""

from typing import Final

TABLE: Final = """\
# D8: arithmetic on 32-bit reals
D8 /0           fadd              Md                x87
D8 /1           fmul              Md                x87
D8 /2           fcom              Md                x87
D8 /3           fcomp             Md                x87
D8 /4           fsub              Md                x87
D8 /5           fsubr             Md                x87
D8 /6           fdiv              Md                x87
D8 /7           fdivr             Md                x87
D8 C0+i         fadd              ST0,STi           x87
D8 C8+i         fmul              ST0,STi           x87
D8 D0+i         fcom              ST0,STi           x87
D8 D8+i         fcomp             ST0,STi           x87
D8 E0+i         fsub              ST0,STi           x87
D8 E8+i         fsubr             ST0,STi           x87
D8 F0+i         fdiv              ST0,STi           x87
D8 F8+i         fdivr             ST0,STi           x87

# D9: loads, constants, functions, environment
D9 /0           fld               Md                x87
D9 /2           fst               Md                x87
D9 /3           fstp              Md                x87
D9 /4           fldenv            Men               x87     assist  -     -        -        -
D9 /5           fldcw             Mw                x87
D9 /6           fnstenv           Men               x87     assist  -     -        -        -
D9 /7           fnstcw            Mw                x87
D9 C0+i         fld               STi               x87
D9 C8+i         fxch              STi               x87
D9 D0           fnop              -                 x87
D9 E0           fchs              -                 x87
D9 E1           fabs              -                 x87
D9 E4           ftst              -                 x87
D9 E5           fxam              -                 x87
D9 E8           fld1              -                 x87
D9 E9           fldl2t            -                 x87
D9 EA           fldl2e            -                 x87
D9 EB           fldpi             -                 x87
D9 EC           fldlg2            -                 x87
D9 ED           fldln2            -                 x87
D9 EE           fldz              -                 x87
D9 F0           f2xm1             -                 x87     approximate  -  -  -  -
D9 F1           fyl2x             -                 x87     approximate  -  -  -  -
D9 F2           fptan             -                 x87     approximate  -  -  -  -
D9 F3           fpatan            -                 x87     approximate  -  -  -  -
D9 F4           fxtract           -                 x87
D9 F5           fprem1            -                 x87
D9 F6           fdecstp           -                 x87
D9 F7           fincstp           -                 x87
D9 F8           fprem             -                 x87
D9 F9           fyl2xp1           -                 x87     approximate  -  -  -  -
D9 FA           fsqrt             -                 x87
D9 FB           fsincos           -                 x87     approximate  -  -  -  -
D9 FC           frndint           -                 x87
D9 FD           fscale            -                 x87
D9 FE           fsin              -                 x87     approximate  -  -  -  -
D9 FF           fcos              -                 x87     approximate  -  -  -  -

# DA: arithmetic on 32-bit integers, conditional moves
DA /0           fiadd             Md                x87
DA /1           fimul             Md                x87
DA /2           ficom             Md                x87
DA /3           ficomp            Md                x87
DA /4           fisub             Md                x87
DA /5           fisubr            Md                x87
DA /6           fidiv             Md                x87
DA /7           fidivr            Md                x87
DA C0+i         fcmovb            ST0,STi           x87     copy    -     c        -        -
DA C8+i         fcmove            ST0,STi           x87     copy    -     z        -        -
DA D0+i         fcmovbe           ST0,STi           x87     copy    -     zc       -        -
DA D8+i         fcmovu            ST0,STi           x87     copy    -     p        -        -
DA E9           fucompp           -                 x87

# DB: 32-bit integers, 80-bit reals, comparisons into EFLAGS, control
DB /0           fild              Md                x87
DB /1           fisttp            Md                sse3
DB /2           fist              Md                x87
DB /3           fistp             Md                x87
DB /5           fld               Mt                x87
DB /7           fstp              Mt                x87
DB C0+i         fcmovnb           ST0,STi           x87     copy    -     c        -        -
DB C8+i         fcmovne           ST0,STi           x87     copy    -     z        -        -
DB D0+i         fcmovnbe          ST0,STi           x87     copy    -     zc       -        -
DB D8+i         fcmovnu           ST0,STi           x87     copy    -     p        -        -
DB E2           fnclex            -                 x87
DB E3           fninit            -                 x87
DB E8+i         fucomi            ST0,STi           x87     copy    -     -        oszapc   -
DB F0+i         fcomi             ST0,STi           x87     copy    -     -        oszapc   -

# DC: arithmetic on 64-bit reals
DC /0           fadd              Mq                x87
DC /1           fmul              Mq                x87
DC /2           fcom              Mq                x87
DC /3           fcomp             Mq                x87
DC /4           fsub              Mq                x87
DC /5           fsubr             Mq                x87
DC /6           fdiv              Mq                x87
DC /7           fdivr             Mq                x87
DC C0+i         fadd              STi,ST0           x87
DC C8+i         fmul              STi,ST0           x87
DC E0+i         fsubr             STi,ST0           x87
DC E8+i         fsub              STi,ST0           x87
DC F0+i         fdivr             STi,ST0           x87
DC F8+i         fdiv              STi,ST0           x87

# DD: 64-bit reals, state
DD /0           fld               Mq                x87
DD /1           fisttp            Mq                sse3
DD /2           fst               Mq                x87
DD /3           fstp              Mq                x87
DD /4           frstor            Msv               x87     assist  -     -        -        -
DD /6           fnsave            Msv               x87     assist  -     -        -        -
DD /7           fnstsw            Mw                x87
DD C0+i         ffree             STi               x87
DD D0+i         fst               STi               x87
DD D8+i         fstp              STi               x87
DD E0+i         fucom             STi               x87
DD E8+i         fucomp            STi               x87

# DE: arithmetic on 16-bit integers, arithmetic with a pop
DE /0           fiadd             Mw                x87
DE /1           fimul             Mw                x87
DE /2           ficom             Mw                x87
DE /3           ficomp            Mw                x87
DE /4           fisub             Mw                x87
DE /5           fisubr            Mw                x87
DE /6           fidiv             Mw                x87
DE /7           fidivr            Mw                x87
DE C0+i         faddp             STi,ST0           x87
DE C8+i         fmulp             STi,ST0           x87
DE E0+i         fsubrp            STi,ST0           x87
DE E8+i         fsubp             STi,ST0           x87
DE F0+i         fdivrp            STi,ST0           x87
DE F8+i         fdivp             STi,ST0           x87
DE D9           fcompp            -                 x87

# DF: 16-bit and 64-bit integers, decimals, comparisons into EFLAGS. FFREEP is undocumented, and compilers emit it
DF /0           fild              Mw                x87
DF /1           fisttp            Mw                sse3
DF /2           fist              Mw                x87
DF /3           fistp             Mw                x87
DF /4           fbld              Mt                x87
DF /5           fild              Mq                x87
DF /6           fbstp             Mt                x87
DF /7           fistp             Mq                x87
DF C0+i         ffreep            STi               x87
DF E0           fnstsw            AX                x87
DF E8+i         fucomip           ST0,STi           x87     copy    -     -        oszapc   -
DF F0+i         fcomip            ST0,STi           x87     copy    -     -        oszapc   -

# FWAIT; before another instruction it makes FSTENV of FNSTENV, and so on
9B              fwait             -                 x87
"""
