/* features.h - musl asks for it; what it would define are options here. */
