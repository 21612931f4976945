/* fcntl.h - descriptors are opened by Plan 9's calls. */
