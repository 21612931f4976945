/* spin.c - never ends, and makes no system call: what a time-out, a fuel limit or Ctrl-C must stop. */

int main(void)
{
    for (volatile unsigned i = 0;; i++) {
    }
}
