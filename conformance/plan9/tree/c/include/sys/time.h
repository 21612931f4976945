/* sys/time.h - there is nothing of it on Plan 9. */
