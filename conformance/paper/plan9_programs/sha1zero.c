/* sha1zero N: SHA-1 (FIPS 180-4) of N MiB of zeros that are read from /dev/zero, 8 KiB at a time. */
#include "bench.h"

static uchar buf[8192];
static uint h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};

#define ROL(x, n) ((x)<<(n) | (x)>>(32-(n)))

static void block(uchar *p)
{
	static uint w[80];	/* on the stack its alignment would not be the same everywhere, nor the code */
	uint a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f, t;
	int i;

	for(i = 0; i < 16; i++, p += 4)
		w[i] = p[0]<<24 | p[1]<<16 | p[2]<<8 | p[3];
	for(; i < 80; i++)
		w[i] = ROL(w[i-3] ^ w[i-8] ^ w[i-14] ^ w[i-16], 1);
#define ROUND(F, K) f = F; t = ROL(a, 5) + f + e + K + w[i]; e = d; d = c; c = ROL(b, 30); b = a; a = t
	for(i = 0; i < 20; i++){ ROUND((b & c) | (~b & d), 0x5a827999); }
	for(; i < 40; i++){ ROUND(b ^ c ^ d, 0x6ed9eba1); }
	for(; i < 60; i++){ ROUND((b & c) | (b & d) | (c & d), 0x8f1bbcdc); }
	for(; i < 80; i++){ ROUND(b ^ c ^ d, 0xca62c1d6); }
	h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e;
}

int main(int argc, char **argv)
{
	long n = number(argc, argv, 1), i;
	uvlong bits = (uvlong)n<<23;
	int from = open("/dev/zero", OREAD), k;

	check(from >= 0);
	for(i = 0; i < n<<7; i++){
		check(read(from, buf, sizeof buf) == sizeof buf);
		for(k = 0; k < (int)sizeof buf; k += 64)
			block(buf+k);
	}
	memset(buf, 0, 64);
	buf[0] = 0x80;
	for(i = 0; i < 8; i++)
		buf[56+i] = bits>>(56-8*i);
	block(buf);
	for(i = 0; i < 40; i++)
		print("%x", h[i/8]>>(28-4*(i%8)) & 15);
	print("\n");
	exits(nil);
}
