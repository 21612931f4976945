/* Links and renames. */
#include "harness.h"

CASE(hard_links_are_one_file) {
    struct stat a, b;
    make("a", "content");
    T(link("a", "b"));
    stat("a", &a), stat("b", &b);
    same_stat("a and b", &a, &b);
    say("%d links", (int)a.st_nlink);
    int fd = T(open("b", O_WRONLY));
    T(write(fd, "C", 1));
    show("a");
    T(unlink("a"));
    stat("b", &b);
    say("%d links", (int)b.st_nlink);
    show("b");
}

CASE(link_refuses) {
    make("a", "");
    T(mkdir("dir", 0755));
    T(link("missing", "b"));
    T(link("a", "a"));
    T(link("a", "dir"));
    T(link("a", "missing/b"));
    T(link("a", "a/b"));
    T(link("dir", "other"));
    T(link("a", ""));
    T(link("a", "b/"));
    T(syscall(SYS_link, NULL, "b"));
    T(syscall(SYS_link, "a", NULL));
    T(linkat(99, "a", AT_FDCWD, "b", 0));
    T(linkat(AT_FDCWD, "a", 99, "b", 0));
    T(linkat(AT_FDCWD, "a", AT_FDCWD, "b", 0x8000));
}

CASE(link_of_a_symbolic_link) {
    struct stat st;
    make("file", "content");
    T(symlink("file", "link"));
    T(linkat(AT_FDCWD, "link", AT_FDCWD, "same", 0));
    lstat("same", &st);
    say("%o, %d links", st.st_mode & S_IFMT, (int)st.st_nlink);
    T(linkat(AT_FDCWD, "link", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
    lstat("followed", &st);
    say("%o, %d links", st.st_mode & S_IFMT, (int)st.st_nlink);
    T(mkdir("dir", 0755));
    int dir = T(open("dir", O_RDONLY));
    T(linkat(AT_FDCWD, "file", dir, "below", 0));
    show("dir/below");
}

CASE(symbolic_links_are_followed) {
    char target[100];
    struct stat st;
    make("file", "content");
    T(mkdir("dir", 0755));
    T(symlink("../file", "dir/link"));
    show("dir/link");
    T(symlink("dir", "to_dir"));
    show("to_dir/link");
    T(symlink("to_dir/link", "twice"));
    show("twice");
    T(readlink("twice", target, sizeof target));
    T(readlink("twice", target, 3));
    say("%s", quoted(target, 3));
    T(lstat("twice", &st));
    say("%o, %d bytes", st.st_mode & S_IFMT, (int)st.st_size);
    T(stat("twice", &st));
    say("%o, %d bytes", st.st_mode & S_IFMT, (int)st.st_size);
    T(lstat("to_dir/", &st));
    say("%o", st.st_mode & S_IFMT);
    char path[5000];
    snprintf(path, sizeof path, "%s/file", directory);
    T(symlink(path, "absolute"));
    show("absolute");
    T(symlink("/", "root"));
    T(stat("root/.", &st));
}

CASE(symbolic_links_in_circles) {
    T(symlink("a", "a"));
    T(open("a", O_RDONLY));
    T(symlink("c", "b"));
    T(symlink("b", "c"));
    struct stat st;
    T(stat("b", &st));
    T(lstat("b", &st));
    T(stat("b/x", &st));
    T(chdir("b"));
    T(open("b", O_RDWR | O_CREAT, 0600));
    T(rename("b", "d"));
    T(unlink("c"));
    char name[20], target[20] = "file";
    make("file", "x");
    for (int i = 1; i <= 42; i++) {
        sprintf(name, "l%d", i);
        symlink(target, name);
        strcpy(target, name);
    }
    show("l20");
    show("l40");
    show("l41");
}

CASE(symlink_and_readlink_refuse) {
    char target[100], *path = calloc(1, 5001);
    make("file", "");
    T(symlink("x", "file"));
    T(symlink("", "empty"));
    T(symlink("x", "missing/link"));
    T(symlink("x", "file/link"));
    T(symlink("x", "link/"));
    T(symlink("x", ""));
    T(syscall(SYS_symlink, NULL, "link"));
    T(syscall(SYS_symlink, "x", NULL));
    T(readlink("file", target, 10));
    T(readlink(".", target, 10));
    T(readlink("missing", target, 10));
    T(readlink("", target, 10));
    T(symlink("x", "link"));
    T(readlink("link", target, 0));
    T(syscall(SYS_readlink, "link", target, -1));
    T(syscall(SYS_readlink, "link", NULL, 10));
    T(syscall(SYS_readlink, NULL, target, 10));
    T(symlinkat("y", 99, "link"));
    T(readlinkat(99, "link", target, 10));
    T(readlink("link/", target, 10));
    memset(path, 'a', 5000);
    T(symlink(path, "long"));
    path[4095] = 0;
    T(symlink(path, "long"));
    T(readlink("long", path, 5000));
    T(open("long", O_RDONLY));
}

CASE(rename_moves_and_replaces) {
    make("a", "a");
    make("b", "b");
    T(rename("a", "b"));
    show("a");
    show("b");
    T(mkdir("dir", 0755));
    T(rename("b", "dir/c"));
    show("dir/c");
    T(rename("dir", "other"));
    show("other/c");
    T(mkdir("empty", 0755));
    T(rename("other", "empty"));
    show("empty/c");
    T(rename("empty/c", "empty/c"));
    T(link("empty/c", "d"));
    T(rename("d", "empty/c"));
    show("d");
}

CASE(rename_refuses) {
    make("file", "");
    T(mkdir("dir", 0755));
    T(mkdir("full", 0755));
    make("full/x", "");
    T(rename("missing", "x"));
    T(rename("file", "missing/x"));
    T(rename("file", "dir"));
    T(rename("dir", "file"));
    T(rename("dir", "full"));
    T(rename("file", "full"));
    T(rename("dir", "dir/sub"));
    T(rename("dir/.", "x"));
    T(rename("dir", "."));
    T(rename("dir", "full/.."));
    T(rename("file/", "x"));
    T(rename("file", "x/"));
    T(rename("dir", "x/"));
    T(rename("", "x"));
    T(rename("file", ""));
    T(syscall(SYS_rename, NULL, "x"));
    T(syscall(SYS_rename, "file", NULL));
    T(renameat(99, "file", AT_FDCWD, "x"));
    T(renameat(AT_FDCWD, "file", 99, "x"));
}

CASE(rename_of_links_moves_the_link) {
    struct stat st;
    make("file", "content");
    T(symlink("file", "link"));
    T(rename("link", "moved"));
    T(lstat("moved", &st));
    say("%o", st.st_mode & S_IFMT);
    make("other", "x");
    T(rename("other", "moved"));
    T(lstat("moved", &st));
    say("%o", st.st_mode & S_IFMT);
    show("file");
}

CASE(renameat2_with_flags) {
    make("a", "a");
    make("b", "b");
    T(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 1 /* RENAME_NOREPLACE */));
    T(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", 1));
    show("c");
    T(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "c", 2 /* RENAME_EXCHANGE */));
    show("b");
    show("c");
    T(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "missing", 2));
    T(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "c", 3));
    T(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "c", 0x100));
    T(mkdir("dir", 0755));
    int dir = T(open("dir", O_RDONLY));
    T(syscall(SYS_renameat2, AT_FDCWD, "b", dir, "d", 0));
    show("dir/d");
    T(renameat(dir, "d", AT_FDCWD, "e"));
    show("e");
}
