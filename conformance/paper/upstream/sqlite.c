/*
 * sqlite.c - sqlite ROWS: a database in memory: insert, index, join, group, update, delete.
 *
 * The library is compiled without an operating system (SQLITE_OS_OTHER): all of it computes in memory.
 */
#include "driver.h"

#include <sqlite3.h>

static int no_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *got)
{
    (void)vfs, (void)name, (void)file, (void)flags, (void)got;
    return SQLITE_CANTOPEN;
}

static int full_name(sqlite3_vfs *vfs, const char *name, int room, char *to)
{
    (void)vfs;
    sqlite3_snprintf(room, to, "%s", name);
    return SQLITE_OK;
}

static int random_bytes(sqlite3_vfs *vfs, int n, char *to)
{
    (void)vfs;
    memset(to, 7, (size_t)n);
    return n;
}

static int the_time(sqlite3_vfs *vfs, double *days)
{
    (void)vfs;
    *days = 2454643; /* 25 June 2008 */
    return SQLITE_OK;
}

int sqlite3_os_init(void)
{
    static sqlite3_vfs nothing = {
        .iVersion = 1, .szOsFile = 64, .mxPathname = 64, .zName = "nothing", .xOpen = no_file,
        .xFullPathname = full_name, .xRandomness = random_bytes, .xCurrentTime = the_time,
    };

    return sqlite3_vfs_register(&nothing, 1);
}

int sqlite3_os_end(void)
{
    return SQLITE_OK;
}

static int show(void *user, int columns, char **values, char **names)
{
    (void)user, (void)names;
    for (int i = 0; i < columns; i++)
        mix(values[i] ? values[i] : "-", values[i] ? strlen(values[i]) : 1);
    return 0;
}

static void run(sqlite3 *db, const char *text)
{
    char *error = NULL;

    if (sqlite3_exec(db, text, show, NULL, &error))
        fail(error ? error : "an error");
}

int main(int argc, char **argv)
{
    int rows = argc > 1 ? atoi(argv[1]) : 0;
    sqlite3_stmt *insert;
    sqlite3 *db;

    if (sqlite3_open(":memory:", &db))
        fail("cannot open a database in memory");
    run(db, "create table word (id integer primary key, text, weight int); create table place (word int, at int);");
    run(db, "begin");
    sqlite3_prepare_v2(db, "insert into word (text, weight) values (?, ?)", -1, &insert, NULL);
    for (int i = 0; i < rows; i++) {
        char text[16];

        sqlite3_snprintf(sizeof text, text, "w%x-%u", noise() & 0xfff, i % 97);
        sqlite3_bind_text(insert, 1, text, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int(insert, 2, (int)(noise() % 1000));
        sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    run(db, "insert into place select id, id * 7919 % 10007 from word; commit");
    run(db, "create index by_text on word (text); create index by_word on place (word)");
    run(db, "select weight % 10, count(*), sum(at), min(text) from word join place on word.id = place.word"
            " where text like '%a%' group by 1 order by 2, 1");
    run(db, "update word set weight = weight + 1 where text between 'w4' and 'w9'");
    run(db, "select text, sum(weight) from word group by text having count(*) > 1 order by 2 desc, 1 limit 100");
    run(db, "delete from word where id % 3 = 0; select count(*), sum(weight) from word");
    sqlite3_close(db);
    printf("%08x\n", (unsigned)digest_of_output);
    return 0;
}
