/* Asks the processor how long an instruction is: it is laid at the end of an executable page, with nothing behind it, and
 * run. If the processor fetches from the next page, the instruction does not end with the first.
 *
 * Freestanding 32-bit Linux. Reads records of 16 bytes: how many bytes to lay down, then up to 15 bytes of code.
 * Writes a byte for each: 'f' it fetched beyond them, 'i' invalid opcode, 'r' it ran or faulted for another reason.
 */

typedef unsigned char u8;
typedef unsigned int u32;

#define PAGE 4096u
#define CODE 0x20000000u    /* one executable page; the next is inaccessible */
#define SCRATCH 0x30000000u /* where all registers point */
#define SCRATCH_SIZE 0x10000u

/* A system call of the kernel, whose sixth argument is always zero here. */
static int call(int number, u32 a, u32 b, u32 c, u32 d, u32 e)
{
	int result;
	__asm__ volatile("pushl %%ebp\n\txorl %%ebp, %%ebp\n\tint $0x80\n\tpopl %%ebp"
	                 : "=a"(result)
	                 : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
	                 : "memory");
	return result;
}

static void map(u32 address, u32 size, u32 protection)
{
	if (call(192, address, size, protection, 0x32, ~0u) != (int)address) /* mmap2: private, fixed, anonymous */
		call(1, 3, 0, 0, 0, 0);
}

u32 saved_esp;
u8 verdict;
void attempt(u32 entry);
void resume(void);

__asm__(".globl attempt\n"
        "attempt:\n"
        "	pushal\n"
        "	movl 36(%esp), %eax\n"
        "	movl %esp, saved_esp\n"
        "	movl $0x30008000, %ecx\n" /* the middle of the scratch memory */
        "	movl %ecx, %edx\n"
        "	movl %ecx, %ebx\n"
        "	movl %ecx, %ebp\n"
        "	movl %ecx, %esi\n"
        "	movl %ecx, %edi\n"
        "	movl %ecx, %esp\n"
        "	pushl %eax\n"
        "	movl %ecx, %eax\n"
        "	ret\n"
        ".globl resume\n"
        "resume:\n"
        "	fninit\n"
        "	pushl $0x1f80\n"
        "	ldmxcsr (%esp)\n"
        "	addl $4, %esp\n"
        "	popal\n"
        "	ret\n");

enum { EDI = 4, ESP = 7, TRAP = 12, ERROR = 13, EIP = 14, EFLAGS = 16, ESP_AT_SIGNAL = 17 };

static void handler(int signal, u8 *info, u8 *context)
{
	u32 *registers = (u32 *)(context + 20); /* behind uc_flags, uc_link and uc_stack */
	(void)signal;
	u32 address = *(u32 *)(info + 12);
	if (registers[TRAP] == 14 && registers[ERROR] & 0x10 && address == CODE + PAGE && registers[EIP] < address)
		verdict = 'f';
	else
		verdict = registers[TRAP] == 6 ? 'i' : 'r';
	registers[EIP] = (u32)resume;
	registers[ESP] = registers[ESP_AT_SIGNAL] = saved_esp;
	registers[EFLAGS] = 0x202;
}

static u8 alternate_stack[0x10000];
static u8 record[16];

static int read_all(u8 *to, int size)
{
	int done = 0;
	while (done < size) {
		int n = call(3, 0, (u32)to + done, size - done, 0, 0);
		if (n <= 0)
			return 0;
		done += n;
	}
	return 1;
}

void _start(void)
{
	static const u8 signals[] = {4, 5, 7, 8, 11}; /* ILL TRAP BUS FPE SEGV */
	u32 stack[3] = {(u32)alternate_stack, 0, sizeof alternate_stack};
	u32 action[5] = {(u32)handler, 0x4 | 0x08000000 | 0x40000000, 0, 0, 0}; /* SIGINFO ONSTACK NODEFER */
	call(186, (u32)stack, 0, 0, 0, 0);
	for (u32 i = 0; i < sizeof signals; i++)
		call(174, signals[i], (u32)action, 0, 8, 0);
	map(CODE, PAGE, 7);
	map(CODE + PAGE, PAGE, 0);
	map(SCRATCH, SCRATCH_SIZE, 3);
	while (read_all(record, sizeof record)) {
		u8 *entry = (u8 *)(CODE + PAGE - record[0]);
		for (u32 i = 0; i < record[0]; i++)
			entry[i] = record[1 + i];
		for (u32 i = 0; i < 256; i++) /* jumps through memory must find the same zero each time */
			((u32 *)(SCRATCH + SCRATCH_SIZE / 2 - 512))[i] = 0;
		verdict = 0;
		attempt((u32)entry);
		if (call(4, 1, (u32)&verdict, 1, 0, 0) != 1)
			break;
	}
	call(1, 0, 0, 0, 0, 0);
}
