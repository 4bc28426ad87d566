/* Uses SQLite as a program does: many rows, an index, a sort, and a look at the whole file. */
#include <stdio.h>
#include <string.h>
#include "sqlite3.h"

static int is(sqlite3 *database, const char *query, const char *expected)
{
    sqlite3_stmt *statement;
    int good = 0;

    if (sqlite3_prepare_v2(database, query, -1, &statement, 0) != SQLITE_OK)
        return 0;
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        good = text && strcmp(text, expected) == 0;
        if (!good)
            printf("%s: %s\n", query, text ? text : "nothing");
    }
    sqlite3_finalize(statement);
    return good;
}

int main(int count, char **words)
{
    sqlite3 *database;

    if (count != 2 || sqlite3_open(words[1], &database) != SQLITE_OK)
        return 2;
    if (sqlite3_exec(database,
            "BEGIN; CREATE TABLE numbers (n INTEGER, text TEXT);"
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000)"
            " INSERT INTO numbers SELECT n, printf('%08x', n * 2654435761) FROM c;"
            "CREATE INDEX by_text ON numbers (text); COMMIT; VACUUM;",
            0, 0, 0) != SQLITE_OK) {
        printf("%s\n", sqlite3_errmsg(database));
        return 3;
    }
    if (!is(database, "SELECT sum(n) FROM numbers", "200010000")
        || !is(database, "SELECT count(DISTINCT text) FROM numbers", "20000")
        || !is(database, "PRAGMA integrity_check", "ok"))
        return 4;
    sqlite3_close(database);
    printf("good\n");
    return 0;
}
