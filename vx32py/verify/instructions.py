"""Every instruction that capstone has a name for: what may be copied into a fragment, and what may not.

An instruction may be copied if all that it can do, whatever its operands, is to change general registers, vector and x87
registers with their control words, the status flags and DF, and memory through DS, ES and SS. A name that is in neither
list is refused like those of the second, and a test sees to it that there is none.
"""

from __future__ import annotations

import re
from typing import Final

_GENERAL = """
    aaa aad aam aas adc adcx add adox and andn bextr blsi blsmsk blsr bound bsf bsr bswap bt btc btr bts bzhi cbw
    cdq clc cld cldemote clflush cmc cmova cmovae cmovb cmovbe cmove cmovg cmovge cmovl cmovle cmovne cmovno cmovnp
    cmovns cmovo cmovp cmovs cmp cmpsb cmpsw cmpxchg cmpxchg8b crc32 cwd cwde daa das dec div endbr32 endbr64 enter
    idiv imul inc lahf lea leave lfence lodsb lodsd lodsw lzcnt mfence mov movbe movnti movsb movsw movsx movzx mul
    mulx neg nop not or pause pdep pext pop popcnt prefetch prefetchnta prefetcht0 prefetcht1 prefetcht2 prefetchw
    prefetchwt1 push pushal pushaw pushf pushfd rcl rcr rol ror rorx sahf sal sar sarx sbb scasb scasd scasw seta
    setae setb setbe sete setg setge setl setle setne setno setnp setns seto setp sets sfence shl shld shlx shr shrd
    shrx stc std stosb stosd stosw sub test tzcnt wait xadd xchg xlatb xor
"""

_X87 = """
    f2xm1 fabs fadd faddp fbld fbstp fchs fcmovb fcmovbe fcmove fcmovnb fcmovnbe fcmovne fcmovnu fcmovu fcom fcomi
    fcomp fcompi fcompp fcos fdecstp fdiv fdivp fdivr fdivrp ffree ffreep fiadd ficom ficomp fidiv fidivr fild fimul
    fincstp fist fistp fisttp fisub fisubr fld fld1 fldcw fldl2e fldl2t fldlg2 fldln2 fldpi fldz fmul fmulp fnclex
    fninit fnop fnstcw fnstsw fpatan fprem fprem1 fptan frndint fscale fsin fsincos fsqrt fst fstp fsub fsubp fsubr
    fsubrp ftst fucom fucomi fucomp fucompi fucompp fxam fxch fxtract fyl2x fyl2xp1
"""

_SSE = """
    addpd addps addsd addss addsubpd addsubps aesdec aesdeclast aesenc aesenclast aesimc aeskeygenassist andnpd
    andnps andpd andps blendpd blendps blendvpd blendvps cmppd cmpps cmpsd cmpss comisd comiss cvtdq2pd cvtdq2ps
    cvtpd2dq cvtpd2pi cvtpd2ps cvtpi2pd cvtpi2ps cvtps2dq cvtps2pd cvtps2pi cvtsd2si cvtsd2ss cvtsi2sd cvtsi2ss
    cvtss2sd cvtss2si cvttpd2dq cvttpd2pi cvttps2dq cvttps2pi cvttsd2si cvttss2si divpd divps divsd divss dppd dpps
    emms extractps haddpd haddps hsubpd hsubps insertps lddqu ldmxcsr maskmovdqu maskmovq maxpd maxps maxsd maxss
    minpd minps minsd minss movapd movaps movd movddup movdq2q movdqa movdqu movhlps movhpd movhps movlhps movlpd
    movlps movmskpd movmskps movntdq movntdqa movntpd movntps movntq movq movq2dq movsd movshdup movsldup movss
    movupd movups mpsadbw mulpd mulps mulsd mulss orpd orps pabsb pabsd pabsw packssdw packsswb packusdw packuswb
    paddb paddd paddq paddsb paddsw paddusb paddusw paddw palignr pand pandn pavgb pavgw pblendvb pblendw pclmulqdq
    pcmpeqb pcmpeqd pcmpeqq pcmpeqw pcmpestri pcmpestrm pcmpgtb pcmpgtd pcmpgtq pcmpgtw pcmpistri pcmpistrm pextrb
    pextrd pextrw phaddd phaddsw phaddw phminposuw phsubd phsubsw phsubw pinsrb pinsrd pinsrw pmaddubsw pmaddwd
    pmaxsb pmaxsd pmaxsw pmaxub pmaxud pmaxuw pminsb pminsd pminsw pminub pminud pminuw pmovmskb pmovsxbd pmovsxbq
    pmovsxbw pmovsxdq pmovsxwd pmovsxwq pmovzxbd pmovzxbq pmovzxbw pmovzxdq pmovzxwd pmovzxwq pmuldq pmulhrsw
    pmulhuw pmulhw pmulld pmullw pmuludq por psadbw pshufb pshufd pshufhw pshuflw pshufw psignb psignd psignw pslld
    pslldq psllq psllw psrad psraw psrld psrldq psrlq psrlw psubb psubd psubq psubsb psubsw psubusb psubusw psubw
    ptest punpckhbw punpckhdq punpckhqdq punpckhwd punpcklbw punpckldq punpcklqdq punpcklwd pxor rcpps rcpss roundpd
    roundps roundsd roundss rsqrtps rsqrtss sha1msg1 sha1msg2 sha1nexte sha1rnds4 sha256msg1 sha256msg2 sha256rnds2
    shufpd shufps sqrtpd sqrtps sqrtsd sqrtss stmxcsr subpd subps subsd subss ucomisd ucomiss unpckhpd unpckhps
    unpcklpd unpcklps xorpd xorps
"""

_AVX = """
    vaddpd vaddps vaddsd vaddss vaddsubpd vaddsubps vaesdec vaesdeclast vaesenc vaesenclast vaesimc vaeskeygenassist
    vandnpd vandnps vandpd vandps vblendpd vblendps vblendvpd vblendvps vbroadcastf128 vbroadcasti128 vbroadcastsd
    vbroadcastss vcmppd vcmpps vcmpsd vcmpss vcomisd vcomiss vcvtdq2pd vcvtdq2ps vcvtpd2dq vcvtpd2ps vcvtph2ps
    vcvtps2dq vcvtps2pd vcvtps2ph vcvtsd2si vcvtsd2ss vcvtsi2sd vcvtsi2ss vcvtss2sd vcvtss2si vcvttpd2dq vcvttps2dq
    vcvttsd2si vcvttss2si vdivpd vdivps vdivsd vdivss vdppd vdpps vextractf128 vextracti128 vextractps vfmadd132pd
    vfmadd132ps vfmadd132sd vfmadd132ss vfmadd213pd vfmadd213ps vfmadd213sd vfmadd213ss vfmadd231pd vfmadd231ps
    vfmadd231sd vfmadd231ss vfmaddsub132pd vfmaddsub132ps vfmaddsub213pd vfmaddsub213ps vfmaddsub231pd
    vfmaddsub231ps vfmsub132pd vfmsub132ps vfmsub132sd vfmsub132ss vfmsub213pd vfmsub213ps vfmsub213sd vfmsub213ss
    vfmsub231pd vfmsub231ps vfmsub231sd vfmsub231ss vfmsubadd132pd vfmsubadd132ps vfmsubadd213pd vfmsubadd213ps
    vfmsubadd231pd vfmsubadd231ps vfnmadd132pd vfnmadd132ps vfnmadd132sd vfnmadd132ss vfnmadd213pd vfnmadd213ps
    vfnmadd213sd vfnmadd213ss vfnmadd231pd vfnmadd231ps vfnmadd231sd vfnmadd231ss vfnmsub132pd vfnmsub132ps
    vfnmsub132sd vfnmsub132ss vfnmsub213pd vfnmsub213ps vfnmsub213sd vfnmsub213ss vfnmsub231pd vfnmsub231ps
    vfnmsub231sd vfnmsub231ss vgatherdpd vgatherdps vgatherqpd vgatherqps vhaddpd vhaddps vhsubpd vhsubps
    vinsertf128 vinserti128 vinsertps vlddqu vldmxcsr vmaskmovdqu vmaskmovpd vmaskmovps vmaxpd vmaxps vmaxsd vmaxss
    vminpd vminps vminsd vminss vmovapd vmovaps vmovd vmovddup vmovdqa vmovdqu vmovhlps vmovhpd vmovhps vmovlhps
    vmovlpd vmovlps vmovmskpd vmovmskps vmovntdq vmovntdqa vmovntpd vmovntps vmovq vmovsd vmovshdup vmovsldup vmovss
    vmovupd vmovups vmpsadbw vmulpd vmulps vmulsd vmulss vorpd vorps vpabsb vpabsd vpabsw vpackssdw vpacksswb
    vpackusdw vpackuswb vpaddb vpaddd vpaddq vpaddsb vpaddsw vpaddusb vpaddusw vpaddw vpalignr vpand vpandn vpavgb
    vpavgw vpblendd vpblendvb vpblendw vpbroadcastb vpbroadcastd vpbroadcastq vpbroadcastw vpclmulqdq vpcmpeqb
    vpcmpeqd vpcmpeqq vpcmpeqw vpcmpestri vpcmpestrm vpcmpgtb vpcmpgtd vpcmpgtq vpcmpgtw vpcmpistri vpcmpistrm
    vperm2f128 vperm2i128 vpermd vpermilpd vpermilps vpermpd vpermps vpermq vpextrb vpextrd vpextrw vpgatherdd
    vpgatherdq vpgatherqd vpgatherqq vphaddd vphaddsw vphaddw vphminposuw vphsubd vphsubsw vphsubw vpinsrb vpinsrd
    vpinsrw vpmaddubsw vpmaddwd vpmaskmovd vpmaskmovq vpmaxsb vpmaxsd vpmaxsw vpmaxub vpmaxud vpmaxuw vpminsb
    vpminsd vpminsw vpminub vpminud vpminuw vpmovmskb vpmovsxbd vpmovsxbq vpmovsxbw vpmovsxdq vpmovsxwd vpmovsxwq
    vpmovzxbd vpmovzxbq vpmovzxbw vpmovzxdq vpmovzxwd vpmovzxwq vpmuldq vpmulhrsw vpmulhuw vpmulhw vpmulld vpmullw
    vpmuludq vpor vpsadbw vpshufb vpshufd vpshufhw vpshuflw vpsignb vpsignd vpsignw vpslld vpslldq vpsllq vpsllvd
    vpsllvq vpsllw vpsrad vpsravd vpsraw vpsrld vpsrldq vpsrlq vpsrlvd vpsrlvq vpsrlw vpsubb vpsubd vpsubq vpsubsb
    vpsubsw vpsubusb vpsubusw vpsubw vptest vpunpckhbw vpunpckhdq vpunpckhqdq vpunpckhwd vpunpcklbw vpunpckldq
    vpunpcklqdq vpunpcklwd vpxor vrcpps vrcpss vroundpd vroundps vroundsd vroundss vrsqrtps vrsqrtss vshufpd vshufps
    vsqrtpd vsqrtps vsqrtsd vsqrtss vstmxcsr vsubpd vsubps vsubsd vsubss vtestpd vtestps vucomisd vucomiss vunpckhpd
    vunpckhps vunpcklpd vunpcklps vxorpd vxorps vzeroall vzeroupper
"""

#: Capstone makes names of the predicates of comparisons: cmpltps, vcmpneq_uqsd.
_COMPARISON: Final = re.compile(
    "v?cmp(eq|lt|le|unord|neq|nlt|nle|ord|nge|ngt|false|ge|gt|true)(_[ou][sq]|_[su])?[ps][sd]"
)

#: They transfer control: only templates do, with bytes that are compared, or they trap to the kernel.
_TRANSFERS = """
    call hlt int int1 int3 into iret iretd iretq ja jae jb jbe jcxz je jecxz jg jge jl jle jmp jne jno jnp jns jo jp
    jrcxz js lcall ljmp loop loope loopne ret retf retfq rsm syscall sysenter sysexit sysexitq sysret sysretq ud0
    ud1 ud2 xabort xbegin xend xtest
"""

#: They load or show segment registers, descriptors, or flags that are not the guest's.
_SEGMENTS = """
    arpl lar lds les lfs lgdt lgs lidt lldt lmsw lsl lss ltr popf popfd popfq rdfsbase rdgsbase sgdt sidt sldt smsw
    str swapgs verr verw wrfsbase wrgsbase
"""

#: They show what is the host's (code addresses, the processor's names, time, chance), or set the state that the host keeps
#: for the guest: the host executes them.
_HOST = """
    cpuid fldenv fnsave fnstenv frstor fxrstor fxrstor64 fxsave fxsave64 popal popaw rdpid rdpmc rdrand rdseed rdtsc
    rdtscp xgetbv xrstor xrstor64 xrstors xrstors64 xsave xsave64 xsavec xsavec64 xsaveopt xsaveopt64 xsaves
    xsaves64 xsetbv
"""

#: For the kernel and for virtual machines, for ports, shadow stacks, protection keys; and what acts on other state.
_SYSTEM = """
    clac clflushopt clgi cli clrssbsy clts clwb clzero encls enclu enclv getsec in incsspd insb insd insw invd
    invept invlpg invlpga invpcid invvpid monitor monitorx movdir64b movdiri mwait mwaitx out outsb outsd outsw
    pconfig ptwrite rdmsr rdpkru rdsspd rdsspq rstorssp saveprevssp setssbsy skinit stac stgi sti tpause umonitor
    umwait vmcall vmclear vmfunc vmlaunch vmload vmmcall vmptrld vmptrst vmread vmresume vmrun vmsave vmwrite vmxoff
    vmxon wbinvd wbnoinvd wrmsr wrpkru wrssd wrssq wrussd wrussq
"""

#: There are none in 32-bit mode.
_LONG_MODE = """
    cdqe cmpsq cmpxchg16b cqo incsspq lodsq movabs movsq movsxd pextrq pinsrq pushfq scasq stosq
"""

#: Of processors that no guest is told of: 3DNow!, XOP, TBM, SSE4a, PadLock, MPX, the 8087.
_FOREIGN = """
    blcfill blci blcic blcmsk blcs blsfill blsic bndcl bndcn bndcu bndldx bndmk bndmov bndstx extrq fcmovnp
    fdisi8087_nop femms feni8087_nop fsetpm fstpnce gf2p8affineinvqb gf2p8affineqb gf2p8mulb insertq llwpcb lwpins
    lwpval montmul movntsd movntss pavgusb pf2id pf2iw pfacc pfadd pfcmpeq pfcmpge pfcmpgt pfmax pfmin pfmul pfnacc
    pfpnacc pfrcp pfrcpit1 pfrcpit2 pfrsqit1 pfrsqrt pfsub pfsubr pi2fd pi2fw pmulhrw pswapd salc slwpcb t1mskc
    tzmsk xcryptcbc xcryptcfb xcryptctr xcryptecb xcryptofb xsha1 xsha256 xstore
"""

#: AVX-512, FMA4 and XOP: nothing saves and restores such registers for a guest.
_WIDER_VECTORS = """
    kaddb kaddd kaddq kaddw kandb kandd kandnb kandnd kandnq kandnw kandq kandw kmovb kmovd kmovq kmovw knotb knotd
    knotq knotw korb kord korq kortestb kortestd kortestq kortestw korw kshiftlb kshiftld kshiftlq kshiftlw kshiftrb
    kshiftrd kshiftrq kshiftrw ktestb ktestd ktestq ktestw kunpckbw kunpckdq kunpckwd kxnorb kxnord kxnorq kxnorw
    kxorb kxord kxorq kxorw v4fmaddps v4fmaddss v4fnmaddps v4fnmaddss valignd valignq vblendmpd vblendmps
    vbroadcastf32x2 vbroadcastf32x4 vbroadcastf32x8 vbroadcastf64x2 vbroadcastf64x4 vbroadcasti32x2 vbroadcasti32x4
    vbroadcasti32x8 vbroadcasti64x2 vbroadcasti64x4 vcmp vcompresspd vcompressps vcvtpd2qq vcvtpd2udq vcvtpd2uqq
    vcvtps2qq vcvtps2udq vcvtps2uqq vcvtqq2pd vcvtqq2ps vcvtsd2usi vcvtss2usi vcvttpd2qq vcvttpd2udq vcvttpd2uqq
    vcvttps2qq vcvttps2udq vcvttps2uqq vcvttsd2usi vcvttss2usi vcvtudq2pd vcvtudq2ps vcvtuqq2pd vcvtuqq2ps
    vcvtusi2sd vcvtusi2ss vdbpsadbw vexp2pd vexp2ps vexpandpd vexpandps vextractf32x4 vextractf32x8 vextractf64x2
    vextractf64x4 vextracti32x4 vextracti32x8 vextracti64x2 vextracti64x4 vfixupimmpd vfixupimmps vfixupimmsd
    vfixupimmss vfmaddpd vfmaddps vfmaddsd vfmaddss vfmaddsubpd vfmaddsubps vfmsubaddpd vfmsubaddps vfmsubpd
    vfmsubps vfmsubsd vfmsubss vfnmaddpd vfnmaddps vfnmaddsd vfnmaddss vfnmsubpd vfnmsubps vfnmsubsd vfnmsubss
    vfpclasspd vfpclassps vfpclasssd vfpclassss vfrczpd vfrczps vfrczsd vfrczss vgatherpf0dpd vgatherpf0dps
    vgatherpf0qpd vgatherpf0qps vgatherpf1dpd vgatherpf1dps vgatherpf1qpd vgatherpf1qps vgetexppd vgetexpps
    vgetexpsd vgetexpss vgetmantpd vgetmantps vgetmantsd vgetmantss vgf2p8affineinvqb vgf2p8affineqb vgf2p8mulb
    vinsertf32x4 vinsertf32x8 vinsertf64x2 vinsertf64x4 vinserti32x4 vinserti32x8 vinserti64x2 vinserti64x4
    vmovdqa32 vmovdqa64 vmovdqu16 vmovdqu32 vmovdqu64 vmovdqu8 vp4dpwssd vp4dpwssds vpabsq vpandd vpandnd vpandnq
    vpandq vpblendmb vpblendmd vpblendmq vpblendmw vpbroadcastmb2q vpbroadcastmw2d vpcmov vpcmp vpcmpb vpcmpd vpcmpq
    vpcmpub vpcmpud vpcmpuq vpcmpuw vpcmpw vpcom vpcomb vpcomd vpcompressb vpcompressd vpcompressq vpcompressw
    vpcomq vpcomub vpcomud vpcomuq vpcomuw vpcomw vpconflictd vpconflictq vpdpbusd vpdpbusds vpdpwssd vpdpwssds
    vpermb vpermi2b vpermi2d vpermi2pd vpermi2ps vpermi2q vpermi2w vpermil2pd vpermil2ps vpermt2b vpermt2d vpermt2pd
    vpermt2ps vpermt2q vpermt2w vpermw vpexpandb vpexpandd vpexpandq vpexpandw vpextrq vphaddbd vphaddbq vphaddbw
    vphadddq vphaddubd vphaddubq vphaddubw vphaddudq vphadduwd vphadduwq vphaddwd vphaddwq vphsubbw vphsubdq
    vphsubwd vpinsrq vplzcntd vplzcntq vpmacsdd vpmacsdqh vpmacsdql vpmacssdd vpmacssdqh vpmacssdql vpmacsswd
    vpmacssww vpmacswd vpmacsww vpmadcsswd vpmadcswd vpmadd52huq vpmadd52luq vpmaxsq vpmaxuq vpminsq vpminuq
    vpmovb2m vpmovd2m vpmovdb vpmovdw vpmovm2b vpmovm2d vpmovm2q vpmovm2w vpmovq2m vpmovqb vpmovqd vpmovqw vpmovsdb
    vpmovsdw vpmovsqb vpmovsqd vpmovsqw vpmovswb vpmovusdb vpmovusdw vpmovusqb vpmovusqd vpmovusqw vpmovuswb
    vpmovw2m vpmovwb vpmullq vpmultishiftqb vpopcntb vpopcntd vpopcntq vpopcntw vpord vporq vpperm vprold vprolq
    vprolvd vprolvq vprord vprorq vprorvd vprorvq vprotb vprotd vprotq vprotw vpscatterdd vpscatterdq vpscatterqd
    vpscatterqq vpshab vpshad vpshaq vpshaw vpshlb vpshld vpshldd vpshldq vpshldvd vpshldvq vpshldvw vpshldw vpshlq
    vpshlw vpshrdd vpshrdq vpshrdvd vpshrdvq vpshrdvw vpshrdw vpshufbitqmb vpsllvw vpsraq vpsravq vpsravw vpsrlvw
    vpternlogd vpternlogq vptestmb vptestmd vptestmq vptestmw vptestnmb vptestnmd vptestnmq vptestnmw vpxord vpxorq
    vrangepd vrangeps vrangesd vrangess vrcp14pd vrcp14ps vrcp14sd vrcp14ss vrcp28pd vrcp28ps vrcp28sd vrcp28ss
    vreducepd vreduceps vreducesd vreducess vrndscalepd vrndscaleps vrndscalesd vrndscaless vrsqrt14pd vrsqrt14ps
    vrsqrt14sd vrsqrt14ss vrsqrt28pd vrsqrt28ps vrsqrt28sd vrsqrt28ss vscalefpd vscalefps vscalefsd vscalefss
    vscatterdpd vscatterdps vscatterpf0dpd vscatterpf0dps vscatterpf0qpd vscatterpf0qps vscatterpf1dpd
    vscatterpf1dps vscatterpf1qpd vscatterpf1qps vscatterqpd vscatterqps vshuff32x4 vshuff64x2 vshufi32x4 vshufi64x2
"""

#: Prefixes that stand alone.
_PREFIXES = """
    data16 lock rep repne rex64 xacquire xrelease
"""

SAFE: Final = frozenset((_GENERAL + _X87 + _SSE + _AVX).split())
REFUSED: Final = frozenset(
    (_TRANSFERS + _SEGMENTS + _HOST + _SYSTEM + _LONG_MODE + _FOREIGN + _WIDER_VECTORS + _PREFIXES).split()
)


def is_safe(mnemonic: str) -> bool:
    """Whether an instruction with this name, as capstone gives it without prefixes, may be copied into a fragment."""
    return mnemonic in SAFE or _COMPARISON.fullmatch(mnemonic) is not None
