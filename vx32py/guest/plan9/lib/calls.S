# Where a program begins, and the calls of Plan 9, as its C library makes them: arguments on the stack above the return
# address, the number in EAX. _brk, _seek and _nsec are what brk, seek and nsec in C are made of.
	.intel_syntax noprefix
	.macro syscall name, number
	.globl \name
	.type \name, @function
\name:	mov eax, \number
	int 0x40
	ret
	.endm

	.text
	.globl _main
	.type _main, @function
_main:	mov _tos, eax
	mov eax, esp
	add eax, 4
	push eax			# argv
	push [eax - 4]			# argc
	call main
	push 0
	call exits
	ud2

	syscall sysr1, 0
	syscall _errstr, 1
	syscall bind, 2
	syscall chdir, 3
	syscall close, 4
	syscall dup, 5
	syscall alarm, 6
	syscall exec, 7
	syscall _exits, 8
	syscall _fsession, 9
	syscall fauth, 10
	syscall _fstat, 11
	syscall segbrk, 12
	syscall _mount, 13
	syscall open, 14
	syscall _read, 15
	syscall oseek, 16
	syscall sleep, 17
	syscall _stat, 18
	syscall rfork, 19
	syscall _write, 20
	syscall pipe, 21
	syscall create, 22
	syscall fd2path, 23
	syscall _brk, 24
	syscall remove, 25
	syscall _wstat, 26
	syscall _fwstat, 27
	syscall notify, 28
	syscall noted, 29
	syscall segattach, 30
	syscall segdetach, 31
	syscall segfree, 32
	syscall segflush, 33
	syscall rendezvous, 34
	syscall unmount, 35
	syscall _wait, 36
	syscall semacquire, 37
	syscall semrelease, 38
	syscall _seek, 39
	syscall fversion, 40
	syscall errstr, 41
	syscall stat, 42
	syscall fstat, 43
	syscall wstat, 44
	syscall fwstat, 45
	syscall mount, 46
	syscall await, 47
	syscall pread, 50
	syscall pwrite, 51
	syscall tsemacquire, 52
	syscall _nsec, 53
	.bss
	.globl _tos
	.align 4
_tos:	.skip 4
	.section .note.GNU-stack, "", @progbits
