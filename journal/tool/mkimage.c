/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/store/schema.h"

/*
 * mkimage DATABASE - make an empty journal there and print it as C.
 *
 * Run by make, once a build. DATABASE must not exist; it is removed by make.
 */

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

static int run(sqlite3 *db, const char *sql)
{
	char *why = NULL;
	int rc = sqlite3_exec(db, sql, NULL, NULL, &why);

	if (rc != SQLITE_OK)
		fprintf(stderr, "mkimage: %s: %s\n", sql, why ? why : sqlite3_errstr(rc));
	sqlite3_free(why);
	return rc;
}

static int make(const char *path)
{
	char sql[256];
	sqlite3 *db = NULL;
	int rc = sqlite3_open(path, &db);

	snprintf(sql, sizeof(sql), "PRAGMA page_size=%d; PRAGMA application_id=%d;"
		 "PRAGMA user_version=%d; BEGIN",
		 JOURNAL_PAGE_SIZE, JOURNAL_APPLICATION_ID, JOURNAL_VERSION);
	if (rc == SQLITE_OK)
		rc = run(db, sql);
	if (rc == SQLITE_OK)
		rc = run(db, journal_schema);
	if (rc == SQLITE_OK)
		rc = run(db, "COMMIT; PRAGMA journal_mode=WAL");
	if (sqlite3_close(db) != SQLITE_OK && rc == SQLITE_OK)
		rc = SQLITE_BUSY;
	return rc;
}

static int print(const char *path)
{
	FILE *f = fopen(path, "rb");
	long n = 0;
	int c;

	if (!f) {
		perror(path);
		return 1;
	}
	printf("/* Made by journal/tool/mkimage. */\n#include \"journal/store/schema.h\"\n"
	       "const unsigned char journal_image[] = {");
	while ((c = getc(f)) != EOF)
		printf("%s%d,", n++ % 20 ? "" : "\n", c);
	printf("\n};\nconst size_t journal_image_size = sizeof(journal_image);\n");
	fclose(f);
	return n == 0;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: mkimage DATABASE\n");
		return 2;
	}
	if (make(argv[1]) != SQLITE_OK)
		return 1;
	return print(argv[1]);
}
