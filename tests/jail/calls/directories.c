/* Directories: making, removing, listing, and the working directory. */
#include "harness.h"

static int compare(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

/* All names in a directory, sorted, with their types. */
static void list(const char *path) {
    char *names[600], *line = calloc(1, 40000);
    int count = 0;
    DIR *dir = opendir(path);
    if (!dir) {
        say("opendir: %s", error_name());
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *text = malloc(300);
        sprintf(text, "%s(%d)", entry->d_name, entry->d_type);
        names[count++] = text;
    }
    closedir(dir);
    qsort(names, count, sizeof *names, compare);
    for (int i = 0; i < count && i < 20; i++)
        strcat(strcat(line, " "), names[i]);
    say("%d names:%s", count, line);
}

CASE(mkdir_and_rmdir) {
    struct stat st;
    T(mkdir("dir", 0777));
    stat("dir", &st);
    say("%o, %d links", st.st_mode, (int)st.st_nlink);
    T(mkdir("dir", 0777));
    T(mkdir("missing/dir", 0777));
    T(mkdir("slash/", 0700));
    T(mkdir("", 0700));
    T(mkdir(".", 0700));
    T(mkdir("/", 0700));
    make("file", "");
    T(mkdir("file", 0700));
    T(mkdir("file/dir", 0700));
    T(symlink("nowhere", "link"));
    T(mkdir("link", 0700));
    make("dir/file", "");
    T(rmdir("dir"));
    T(unlink("dir/file"));
    T(rmdir("dir/"));
    T(rmdir("dir"));
    T(rmdir("file"));
    T(rmdir("link"));
    T(rmdir("."));
    T(rmdir("slash/.."));
    T(rmdir("slash/."));
    T(rmdir("/"));
    T(syscall(SYS_mkdir, NULL, 0700));
    T(syscall(SYS_rmdir, NULL));
}

CASE(mkdir_counts_links) {
    struct stat st;
    T(mkdir("dir", 0755));
    T(mkdir("dir/a", 0755));
    T(mkdir("dir/b", 0755));
    stat("dir", &st);
    say("%d links", (int)st.st_nlink);
    T(mkdir("sticky", 01777));
    stat("sticky", &st);
    say("%o", st.st_mode);
}

CASE(a_listing_names_everything_once) {
    T(chdir("private"));
    T(mkdir("dir", 0755));
    list("dir");
    make("dir/file", "");
    T(mkdir("dir/sub", 0755));
    T(symlink("file", "dir/link"));
    T(mkfifo("dir/fifo", 0600));
    list("dir");
    list("dir/file");
    list("missing");
    list("dir/sub");
}

CASE(a_large_directory_is_listed_whole) {
    char name[20];
    T(mkdir("dir", 0755));
    for (int i = 0; i < 400; i++) {
        sprintf(name, "dir/%d", i);
        close(creat(name, 0600));
    }
    list("dir");
    DIR *dir = opendir("dir");
    int count = 0;
    for (int i = 0; i < 100; i++)
        readdir(dir);
    long place = telldir(dir);
    struct dirent *entry = readdir(dir);
    char after[300];
    strcpy(after, entry->d_name);
    while (readdir(dir))
        count++;
    say("%d more", count);
    seekdir(dir, place);
    say("the same after seekdir: %d", !strcmp(readdir(dir)->d_name, after));
    rewinddir(dir);
    for (count = 0; readdir(dir);)
        count++;
    say("%d", count);
    closedir(dir);
}

CASE(getdents_checks_its_arguments) {
    char entries[1000];
    make("file", "");
    T(mkdir("dir", 0755));
    int fd = T(open("dir", O_RDONLY)), file = T(open("file", O_RDONLY));
    T(syscall(SYS_getdents64, fd, entries, 1));
    T(syscall(SYS_getdents64, fd, NULL, 1000));
    T(syscall(SYS_getdents64, file, entries, 1000));
    T(syscall(SYS_getdents64, 99, entries, 1000));
    T(syscall(SYS_getdents64, fd, entries, 1000));
    T(syscall(SYS_getdents64, fd, entries, 1000));
    T(lseek(fd, 0, SEEK_SET));
    T(syscall(SYS_getdents, fd, entries, 1000));
    T(syscall(SYS_getdents, fd, entries, 1000));
    int path = T(open("dir", O_PATH));
    T(syscall(SYS_getdents64, path, entries, 1000));
    T(rmdir("dir"));
    T(lseek(fd, 0, SEEK_SET));
    T(syscall(SYS_getdents64, fd, entries, 1000));
}

CASE(a_listing_sees_what_was_made_before_rewind) {
    T(mkdir("dir", 0755));
    DIR *dir = opendir("dir");
    int count = 0;
    while (readdir(dir))
        count++;
    say("%d", count);
    make("dir/new", "");
    rewinddir(dir);
    for (count = 0; readdir(dir);)
        count++;
    say("%d", count);
    closedir(dir);
}

CASE(chdir_and_getcwd) {
    char before[5000], path[5000];
    T(getcwd(before, sizeof before) == before);
    say("it is the directory: %d", !strcmp(before, directory));
    T(mkdir("dir", 0755));
    T(chdir("dir"));
    getcwd(path, sizeof path);
    say("below: %s", path + strlen(before));
    make("here", "x");
    T(chdir(".."));
    show("dir/here");
    T(chdir("missing"));
    T(chdir("dir/here"));
    T(chdir(""));
    T(syscall(SYS_chdir, NULL));
    int fd = T(open("dir", O_RDONLY)), file = T(open("dir/here", O_RDONLY));
    T(fchdir(fd));
    show("here");
    T(fchdir(file));
    T(fchdir(99));
    T(chdir(directory));
    T(syscall(SYS_getcwd, path, sizeof path) == (long)strlen(before) + 1);
    T(syscall(SYS_getcwd, path, strlen(before)));
    T(syscall(SYS_getcwd, path, 0));
    T(syscall(SYS_getcwd, NULL, 5000));
    T(symlink("dir", "link"));
    T(chdir("link"));
    getcwd(path, sizeof path);
    say("below: %s", path + strlen(before));
    int way = T(open(".", O_PATH));
    T(chdir("/"));
    T(fchdir(way));
    show("here");
}

CASE(the_working_directory_can_be_moved_and_removed) {
    char path[5000];
    struct stat st;
    T(mkdir("a", 0755));
    T(chdir("a"));
    T(rename("../a", "../b"));
    getcwd(path, sizeof path);
    say("below: %s", path + strlen(directory));
    T(rmdir("../b"));
    T(syscall(SYS_getcwd, path, sizeof path));
    T(open("new", O_CREAT | O_RDWR, 0600));
    T(mkdir("new", 0700));
    T(stat(".", &st));
    say("%d links", (int)st.st_nlink);
    T(stat("..", &st));
    T(chdir(".."));
}

CASE(the_working_directory_is_the_process_own) {
    T(mkdir("dir", 0755));
    pid_t child = fork();
    if (child == 0) {
        T(chdir("dir"));
        make("made", "x");
        _exit(0);
    }
    wait_for(child);
    T(access("made", F_OK));
    T(access("dir/made", F_OK));
}

CASE(unlinkat_and_mkdirat) {
    T(mkdirat(AT_FDCWD, "dir", 0755));
    int fd = T(open("dir", O_RDONLY));
    T(mkdirat(fd, "sub", 0755));
    T(mkdirat(99, "sub", 0755));
    T(unlinkat(fd, "sub", 0));
    T(unlinkat(fd, "sub", 0x8000));
    T(unlinkat(fd, "sub", AT_REMOVEDIR));
    make("dir/file", "");
    T(unlinkat(fd, "file", AT_REMOVEDIR));
    T(unlinkat(fd, "file/", 0));
    T(unlinkat(fd, "file", 0));
    T(unlinkat(fd, "file", 0));
    T(unlinkat(99, "file", 0));
    T(unlink("dir"));
    T(unlink("dir/"));
    T(unlink(""));
    T(unlink("."));
    T(syscall(SYS_unlink, NULL));
}

CASE(dot_and_dot_dot_and_slashes) {
    struct stat a, b;
    T(mkdir("dir", 0755));
    T(mkdir("dir/sub", 0755));
    make("dir/file", "x");
    show("dir//file");
    show("./dir/./sub/.././file");
    show("dir/sub/../../dir/file");
    show(".//./dir/file");
    T(stat("/", &a));
    T(stat("/..", &b));
    same_stat("/ and /..", &a, &b);
    T(stat("/../../..//", &b));
    same_stat("/ and above", &a, &b);
    T(stat("dir/missing/..", &a));
    T(stat("dir/file/..", &a));
    T(stat("dir/file/.", &a));
    T(stat("dir/sub/", &a));
    T(stat("dir/sub/.", &b));
    same_stat("a directory by two names", &a, &b);
}

CASE(deep_directories) {
    char path[5000] = "";
    for (int i = 0; i < 60; i++) {
        strcat(path, "directory/");
        if (mkdir(path, 0755))
            say("mkdir: %s", error_name());
    }
    strcat(path, "file");
    make(path, "deep");
    int fd = T(open(path, O_RDONLY));
    show_descriptor(fd);
    for (int i = 0; i < 60; i++)
        if (chdir("directory"))
            say("chdir: %s", error_name());
    show("file");
    char cwd[5000];
    T(getcwd(cwd, sizeof cwd) != NULL);
    say("%d deeper", (int)(strlen(cwd) - strlen(directory)));
}
