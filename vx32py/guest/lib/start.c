/* start.c - from the host's first instruction to main, and from main to exit. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <vx.h>

int errno;
char **environ;

int main(int argc, char **argv, char **envp);

/* Functions marked `constructor`; the linker script collects them. */
extern void (*const __init_array_start[])(void);
extern void (*const __init_array_end[])(void);

/* Names the ABI inside the image, and keeps the read-only segment from being empty. */
__attribute__((used, section(".rodata.vx_abi"))) static const char vx_abi[] = "VX ABI 1";

/*
 * At entry every register is 0 but ESP, which points at argc, the argv pointers, 0, the envp pointers, 0. The psABI
 * wants ESP + 4 to be a multiple of 16 at the first instruction of a function; code that keeps SSE values on the stack
 * relies on it. EBP = 0 marks the outermost frame.
 */
__asm__(".section .text.start, \"ax\", @progbits\n"
        ".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        "    xorl %ebp, %ebp\n"
        "    movl %esp, %eax\n"
        "    andl $-16, %esp\n"
        "    subl $12, %esp\n"
        "    pushl %eax\n"
        "    call vx_start\n"
        "    hlt\n"
        ".size _start, . - _start\n"
        ".text\n");

__attribute__((used)) _Noreturn void vx_start(uint32_t *stack);

void vx_start(uint32_t *stack)
{
    int argc = (int)stack[0];
    char **argv = (char **)(stack + 1);

    environ = argv + argc + 1;
    for (void (*const *f)(void) = __init_array_start; f != __init_array_end; f++)
        (*f)();
    exit(main(argc, argv, environ));
}
