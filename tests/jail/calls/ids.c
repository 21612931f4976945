/* Who the process is: users, groups, names of the system. */
#include "harness.h"

#include <grp.h>
#include <sys/fsuid.h>

CASE(users_and_groups_are_consistent) {
    uid_t real, effective, saved;
    gid_t rgid, egid, sgid;
    T(getresuid(&real, &effective, &saved));
    say("%d %d %d", real == getuid(), effective == geteuid(), saved == effective);
    T(getresgid(&rgid, &egid, &sgid));
    say("%d %d %d", rgid == getgid(), egid == getegid(), sgid == egid);
    say("%d %d", syscall(SYS_getuid32) == (long)getuid(), syscall(SYS_getgid32) == (long)getgid());
    say("%d %d", syscall(SYS_getuid) == (long)(getuid() & 0xffff), syscall(SYS_getegid) == (long)(getegid() & 0xffff));
    T(syscall(SYS_getresuid32, NULL, NULL, NULL));
}

CASE(setting_what_one_is) {
    T(setuid(getuid()));
    T(seteuid(geteuid()));
    T(setreuid(-1, -1));
    T(setresuid(-1, -1, -1));
    T(setresuid(getuid(), -1, getuid()));
    T(setgid(getgid()));
    T(setregid(getgid(), getegid()));
    T(setresgid(-1, -1, -1));
    T(setfsuid(-1) == (int)getuid());
    T(setfsgid(-1) == (int)getgid());
}

CASE(becoming_somebody_else) {
    T(setuid(0));
    T(setgid(0));
    T(seteuid(12345));
    T(setresuid(-1, 0, -1));
    gid_t group = 0;
    T(setgroups(1, &group));
    T(chroot("."));
    T(syscall(SYS_setuid32, -1));
    T(sethostname("name", 4));
}

CASE(supplementary_groups) {
    gid_t groups[100];
    int count = T(getgroups(0, NULL));
    T(getgroups(100, groups) == count);
    T(getgroups(-1, groups));
}

CASE(uname_says_what_this_is) {
    struct utsname name;
    T(uname(&name));
    say("%s, a release %d, a version %d, a name %d", name.sysname, name.release[0] >= '3', name.version[0] != 0,
        name.nodename[0] != 0);
    char host[100];
    T(gethostname(host, sizeof host));
    say("%d", !strcmp(host, name.nodename));
    T(syscall(SYS_uname, NULL));
    T(syscall(SYS_uname, NOWHERE));
}

CASE(capabilities_are_none) {
    struct { uint32_t version; int pid; } header = {0x20080522, 0};
    struct { uint32_t effective, permitted, inheritable; } data[2];
    T(syscall(SYS_capget, &header, data));
    say("%u %u", data[0].effective, data[0].permitted);
    header.version = 1;
    T(syscall(SYS_capget, &header, NULL));
    say("%x", header.version);
    T(syscall(SYS_capget, NULL, NULL));
    T(prctl(PR_CAPBSET_READ, 99));
}
