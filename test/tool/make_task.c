/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_task - write journals of tasks that never were, to try uruncctl on.
 *
 *	make_task KIND FOLDER NS ID [COUNT]
 *
 * The journal's place comes from the config file, as for every program. Below FOLDER
 * each task gets a bundle with an address file, which is what recovery finds and
 * takes back. With COUNT, ids are ID1, ID2, ...
 *
 *	live	a created task; prints "ready", holds the lock until stdin ends
 *	dead	the same, but nobody holds the lock and the shim is gone
 *	boot	the same, of an earlier boot
 *	half	died in the middle of its create plan
 *	stuck	an undo failed
 *	done	finished, in the history
 *	torn	dead, and its file is damaged
 *	newer	dead, and its file is of a later version
 */
#include "journal/base/cleanup.h"
#include "journal/journal.h"
#include "supervisor/bundle/config.h"
#include "supervisor/node/node_linux.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#define ADDRESS   "/run/containerd/containerd.sock"
#define OLD_EPOCH "00000000-0000-0000-0000-000000000000 4026531836 4026531840"
#define TEXT      "unix:///run/urunc/s/none" /* of the address files */
#define MADE_MS   1700000000000 /* some day of 2023 */

/* The highest pid there can be, since the beginning of time: nobody. */
static const struct ident dead = { .pid = 4194303, .start = 1 };

enum kind { LIVE, DEAD, BOOT, HALF, STUCK, DONE, TORN, NEWER, KIND_N };
static const char *const kinds[KIND_N] = {
	"live", "dead", "boot", "half", "stuck", "done", "torn", "newer",
};

struct making {
	enum kind kind;
	const char *folder, *ns;
	struct journal_place place;
	struct node *node;
};

#define TRY(call)                    \
	do {                         \
		int try_ = (call);   \
		if (try_ < 0)        \
			return try_; \
	} while (0)

static int make_bundle(const char *bundle, const char *address, struct err *err)
{
	auto_file FILE *f = NULL;

	if (mkdir(bundle, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno, "make %s", bundle);
	f = fopen(address, "we");
	if (!f || fputs(TEXT, f) < 0)
		return err_set(err, errno, "write %s", address);
	return 0;
}

/* { @member: the identity of @path }, as a step that has made it knows it. */
static char *have_of(const struct making *m, const char *member, const char *path)
{
	struct path_ident what = { .ino = 0 };
	char *text = NULL;

	if (m->node->path(m->node, path, &what, NULL) != 1 ||
	    asprintf(&text, "{\"%s\":{\"dev\":%llu,\"ino\":%llu,\"mode\":%u}}", member,
		     (unsigned long long)what.dev, (unsigned long long)what.ino, what.mode) < 0)
		return NULL;
	return text;
}

/* A run of one step, carried to @state. */
static int make_run(struct journal *j, const char *plan, const struct planned *step,
		    const char *have, const char *epoch, enum row_state state)
{
	struct err *err = NULL;
	int64_t run = 0;
	int64_t seq = strcmp(plan, "serve") == 0 ? 1 : 2;

	TRY(journal_plan(j, plan, step, 1, MADE_MS, &run, err));
	TRY(journal_intend(j, seq, epoch, false, MADE_MS + 1, err));
	if (state == ROW_INTENT)
		return 0;
	TRY(journal_have(j, seq, have, err));
	TRY(journal_settle(j, seq, ROW_DONE, "", MADE_MS + 2, err));
	return journal_close_run(j, run, RUN_DONE_ROW, "", MADE_MS + 3, err);
}

static int make_runs(const struct making *m, struct journal *j, const char *bundle,
		     const char *address, struct err *err)
{
	const char *epoch = m->kind == BOOT ? OLD_EPOCH : m->node->epoch(m->node);
	enum row_state created = m->kind == HALF ? ROW_INTENT : ROW_DONE;
	auto_free char *file = NULL;
	auto_free char *folder = NULL;
	auto_free char *have_file = have_of(m, "file", address);
	auto_free char *have_folder = have_of(m, "dir", bundle);

	if (!have_file || !have_folder ||
	    asprintf(&file, "{\"path\":\"%s\",\"text\":\"" TEXT "\"}", address) < 0 ||
	    asprintf(&folder, "{\"path\":\"%s\"}", bundle) < 0)
		return err_set(err, ENOMEM, "make a task");
	if (make_run(j, "serve", &(struct planned){ "address", file }, have_file, epoch,
		     ROW_DONE) < 0 ||
	    journal_move(j, "new", "creating", "create", NULL) < 0 ||
	    make_run(j, "create", &(struct planned){ "bundle", folder }, have_folder, epoch,
		     created) < 0)
		return err_say(err, EIO, "the journal refused a row");
	return 0;
}

static int make_rows(const struct making *m, struct journal *j, const char *bundle, struct err *err)
{
	struct ident who = dead;
	auto_free char *address = NULL;

	if (asprintf(&address, "%s/address", bundle) < 0)
		return err_set(err, ENOMEM, "make a task");
	if (m->kind == LIVE)
		TRY(m->node->self(m->node, &who, err));
	TRY(make_bundle(bundle, address, err));
	TRY(journal_set_text(j, TASK_ADDRESS, ADDRESS, err));
	TRY(journal_set_text(j, TASK_EPOCH, m->kind == BOOT ? OLD_EPOCH : m->node->epoch(m->node),
			     err));
	TRY(journal_set_text(j, TASK_RUNTIME, "/usr/bin/runc", err));
	TRY(journal_set_bundle(j, bundle, 1, 1, err));
	TRY(journal_set_shim(j, &who, err));
	TRY(make_runs(m, j, bundle, address, err));
	if (m->kind == HALF)
		return 0;
	TRY(journal_set_init(j, &who, err));
	return journal_move(j, "creating", "created", "done", err);
}

/* The undo of the bundle's step has failed. */
static int make_stuck(struct journal *j, struct err *err)
{
	TRY(journal_set_text(j, TASK_ERROR, "unmount rootfs: Device or resource busy", err));
	TRY(journal_move(j, "created", "takedown", "recover", err));
	TRY(journal_settle(j, 2, ROW_UNDOING, "", MADE_MS + 4, err));
	TRY(journal_settle(j, 2, ROW_STUCK, "Device or resource busy", MADE_MS + 5, err));
	return journal_move(j, "takedown", "stuck", "fail", err);
}

static int make_done(struct journal **jp, struct err *err)
{
	TRY(journal_set_exit(*jp, EXIT_REAPED, 42, (MADE_MS + 9) * 1000000, err));
	TRY(journal_move(*jp, "created", "stopped", "exit", err));
	TRY(journal_move(*jp, "stopped", "gone", "done", err));
	return journal_finish(jp, err);
}

/* Its own shim and init, as far as anybody can see, until stdin ends. */
static void hold(void)
{
	char c;

	(void)puts("ready");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

/* Garbage where the table of tables is, or a version of the future. */
static int spoil(const struct making *m, const struct task_key *key, struct err *err)
{
	static const char garbage[400] = { 'x' };
	auto_free char *file = NULL;
	auto_fd int fd = -1;
	sqlite3 *db = NULL;
	int r;

	if (asprintf(&file, "%s/live/%s/%s/%s.db", m->place.root, key->daemon, key->ns, key->id) < 0)
		return err_set(err, ENOMEM, "spoil a task");
	if (m->kind == TORN) {
		fd = open(file, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || pwrite(fd, garbage, sizeof(garbage), 100) != sizeof(garbage))
			return err_set(err, errno, "damage %s", file);
		return 0;
	}
	r = sqlite3_open(file, &db);
	if (r == SQLITE_OK)
		r = sqlite3_exec(db, "PRAGMA user_version=9999", NULL, NULL, NULL);
	(void)sqlite3_close(db);
	return r == SQLITE_OK ? 0 : err_say(err, EIO, "change the version of %s", file);
}

static int finish(const struct making *m, struct journal **jp, struct err *err)
{
	switch (m->kind) {
	case STUCK:
		return make_stuck(*jp, err);
	case DONE:
		return make_done(jp, err);
	case LIVE:
		hold();
		break;
	case DEAD:
	case BOOT:
	case HALF:
	case TORN:
	case NEWER:
	case KIND_N:
		break;
	}
	return 0;
}

static int make(const struct making *m, const char *id, struct err *err)
{
	auto_free char *bundle = NULL;
	struct journal *j = NULL;
	struct task_key key;
	int r;

	if (asprintf(&bundle, "%s/%s.%s", m->folder, m->ns, id) < 0)
		return err_set(err, ENOMEM, "make a task");
	TRY(task_key_make(&key, ADDRESS, m->ns, id, err));
	TRY(journal_open(&j, &m->place, &key, JOURNAL_CREATE, err));
	r = make_rows(m, j, bundle, err);
	if (r == 0)
		r = finish(m, &j, err);
	(void)journal_close(j);
	if (r == 0 && (m->kind == TORN || m->kind == NEWER))
		r = spoil(m, &key, err);
	return r;
}

static int make_all(const struct making *m, const char *id, int count, struct err *err)
{
	if (!count)
		return make(m, id, err);
	for (int i = 1; i <= count; i++) {
		char name[JOURNAL_ID_MAX + 16];

		(void)snprintf(name, sizeof(name), "%s%d", id, i);
		TRY(make(m, name, err));
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct making m = { .kind = KIND_N };
	struct config config = { .file = NULL };
	struct err err = ERR_INIT;
	int r;

	for (int i = 0; argc >= 5 && i < KIND_N; i++)
		if (strcmp(argv[1], kinds[i]) == 0)
			m.kind = (enum kind)i;
	if (m.kind == KIND_N) {
		(void)fprintf(stderr, "usage: make_task KIND FOLDER NS ID [COUNT]\n");
		return 2;
	}
	m.folder = argv[2];
	m.ns = argv[3];
	r = config_load(&config, NULL, &err);
	if (r == 0)
		r = journal_place_make(&m.place, config.journal, config.run, &err);
	if (r == 0)
		r = node_linux_new(&m.node, &err);
	if (r == 0)
		r = make_all(&m, argv[4], argc > 5 ? atoi(argv[5]) : 0, &err);
	if (r < 0)
		(void)fprintf(stderr, "make_task: %s\n", err.text);
	(void)node_linux_free(m.node);
	config_clear(&config);
	return r < 0;
}
