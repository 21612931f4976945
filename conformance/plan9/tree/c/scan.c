/* scan.c - scanf for files and strings, with the conversions that sources of Plan 9's use: c d s x [^...] and %. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct from {
	FILE *file;
	const char *text;
};

static int next(struct from *in)
{
	if (in->file)
		return getc(in->file);
	return *in->text ? (unsigned char)*in->text++ : EOF;
}

static void back(struct from *in, int c)
{
	if (c == EOF)
		return;
	if (in->file)
		ungetc(c, in->file);
	else
		in->text--;
}

static void skip(struct from *in)
{
	int c;

	while (isspace(c = next(in)))
		;
	back(in, c);
}

/* Whether a character belongs to a word, or is not the one that ends it. */
static int belongs(int c, int end)
{
	return c != EOF && (end ? c != end : !isspace(c));
}

static int scan(struct from *in, const char *format, va_list to)
{
	int count = 0, c, end;
	char number[32], *p;

	for (; *format; format++) {
		if (isspace((unsigned char)*format)) {
			skip(in);
			continue;
		}
		if (*format != '%') {
			if ((c = next(in)) != (unsigned char)*format) {
				back(in, c);
				return count;
			}
			continue;
		}
		while (isdigit((unsigned char)*++format))
			;
		if (*format != 'c' && *format != '[')
			skip(in);
		c = next(in);
		if (c == EOF)
			return count ? count : EOF;
		switch (*format) {
		case 'c':
			*va_arg(to, char *) = c;
			break;
		case 's':
		case '[':
			end = 0;
			if (*format == '[') { /* [^x] */
				end = (unsigned char)format[2];
				format += 3;
			}
			p = va_arg(to, char *);
			if (!belongs(c, end)) {
				back(in, c);
				return count;
			}
			for (; belongs(c, end); c = next(in))
				*p++ = c;
			*p = 0;
			back(in, c);
			break;
		case 'd':
		case 'x':
			p = number;
			for (; p < number + sizeof number - 1 && (isxdigit(c) || p == number && (c == '-' || c == '+'));
			     c = next(in)) {
				if (*format == 'd' && isalpha(c))
					break;
				*p++ = c;
			}
			*p = 0;
			back(in, c);
			*va_arg(to, int *) = strtol(number, &p, *format == 'd' ? 10 : 16);
			if (p == number)
				return count;
			break;
		}
		count++;
	}
	return count;
}

int fscanf(FILE *file, const char *format, ...)
{
	struct from in = {file};
	va_list to;
	int count;

	va_start(to, format);
	count = scan(&in, format, to);
	va_end(to);
	return count;
}

int sscanf(const char *text, const char *format, ...)
{
	struct from in = {0, text};
	va_list to;
	int count;

	va_start(to, format);
	count = scan(&in, format, to);
	va_end(to);
	return count;
}
