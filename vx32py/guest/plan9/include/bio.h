/* bio.h - buffered input and output (bio(2)). <u.h> and <libc.h> go first. */
#ifndef PLAN9_BIO_H
#define PLAN9_BIO_H

enum { Bsize = 8192, Bungetsize = UTFmax + 1, Beof = -1, Bbad = -2 };

typedef struct Biobuf Biobuf;
struct Biobuf {
    int fd, mode;      /* OREAD or OWRITE */
    int opened;        /* by Bopen: Bterm closes it */
    vlong offset;      /* of what follows the buffer in the file */
    long length;       /* of the line that Brdline has found */
    uchar *next, *end; /* what has not been read; where the next byte goes, and none fits */
    int ended, runes;  /* nothing more to read; bytes of the last rune */
    Biobuf *link;      /* others to be written at the end */
    uchar buffer[Bungetsize + Bsize + 1];
};

typedef Biobuf Biobufhdr;

extern int Binit(Biobuf *, int, int);
extern Biobuf *Bopen(char *, int);
extern int Bterm(Biobuf *);
extern int Bflush(Biobuf *);
extern int Bfildes(Biobuf *);
extern int Bbuffered(Biobuf *);
extern int Blinelen(Biobuf *);
extern vlong Boffset(Biobuf *);
extern vlong Bseek(Biobuf *, vlong, int);
extern int Bgetc(Biobuf *);
extern int Bungetc(Biobuf *);
extern long Bgetrune(Biobuf *);
extern int Bungetrune(Biobuf *);
extern long Bread(Biobuf *, void *, long);
extern void *Brdline(Biobuf *, int);
extern char *Brdstr(Biobuf *, int, int);
extern int Bputc(Biobuf *, int);
extern int Bputrune(Biobuf *, long);
extern long Bwrite(Biobuf *, void *, long);
extern int Bprint(Biobuf *, char *, ...);
extern int Bvprint(Biobuf *, char *, va_list);

#define BGETC(bp) Bgetc(bp)
#define BPUTC(bp, c) Bputc(bp, c)
#define BLINELEN(bp) Blinelen(bp)
#define BFILDES(bp) Bfildes(bp)

#endif
