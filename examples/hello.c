/* hello.c - the smallest guest: one line through stdio, and an exit code of 0. */
#include <stdio.h>

int main(void)
{
    puts("hello, world");
    return 0;
}
