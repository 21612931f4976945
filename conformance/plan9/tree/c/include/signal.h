/* signal.h - there are notes, and no signals: what is asked for is forgotten. */
#ifndef SIGNAL_H
#define SIGNAL_H

#define SIGINT 2
#define SIGQUIT 3
#define SIGFPE 8
#define SIGTTIN 21
#define SIGTTOU 22
#define SIG_IGN ((void (*)(int))1)
#define SIG_DFL ((void (*)(int))0)
#define TIOCNOTTY 0
#define signal(number, handler) ((void)(handler), SIG_DFL)
#define ioctl(fd, request) (-1)

#endif
