/* Extended attributes: a jail has none, and says so as a file system without them does. */
#include "harness.h"

JAIL_CASE(extended_attributes_are_refused) {
    char value[10];
    make("file", "");
    int fd = T(open("file", O_RDWR));
    T(setxattr("file", "user.name", "value", 5, 0));
    T(getxattr("file", "user.name", value, 10));
    T(listxattr("file", value, 10));
    T(removexattr("file", "user.name"));
    T(lgetxattr("file", "user.name", value, 10));
    T(fgetxattr(fd, "user.name", value, 10));
    T(fsetxattr(fd, "user.name", "value", 5, 0));
}
