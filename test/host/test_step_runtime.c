/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a create on this machine, with every OCI runtime that is installed: made,
 * and taken back; refused, and taken back; lost, and taken back.
 */
#include "journal/base/cleanup.h"
#include "supervisor/bundle/config.h"
#include "supervisor/engine/engine.h"
#include "supervisor/engine/recover.h"
#include "supervisor/node/node_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define PATH_LEN 200
#define LIMIT_MS 60000

struct bed {
	char dir[64], bundle[PATH_LEN], root[PATH_LEN], journal[PATH_LEN], run[PATH_LEN];
	char cgroup[64];
	struct node *node;
	struct config config;
	struct engine engine;
	struct journal_place place;
	struct task_key key;
	struct journal *j;
	struct err err;
};

static void must(int rc, const struct err *err)
{
	if (rc < 0)
		fail_msg("%s", err->text);
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* The host's own files as rootfs, read only, and /bin/sleep as init. */
static void write_bundle(struct bed *b, const char *program)
{
	auto_free char *path = NULL;
	auto_free char *text = NULL;

	assert_true(asprintf(&path, "%s/config.json", b->bundle) > 0);
	assert_true(asprintf(&text,
		"{\"ociVersion\":\"1.0.2\",\"process\":{\"terminal\":false,"
		"\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"%s\",\"60\"],\"cwd\":\"/\","
		"\"env\":[\"PATH=/bin:/usr/bin\"]},\"root\":{\"path\":\"rootfs\","
		"\"readonly\":true},\"linux\":{\"cgroupsPath\":\"%s/c1\",\"namespaces\":["
		"{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"}]},"
		"\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
		"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}]}",
		program, b->cgroup) > 0);
	write_text(path, text);
}

static void fill_task(struct bed *b, const char *runtime)
{
	must(journal_set_text(b->j, TASK_EPOCH, b->node->epoch(b->node), &b->err), &b->err);
	must(journal_set_text(b->j, TASK_BUNDLE, b->bundle, &b->err), &b->err);
	must(journal_set_text(b->j, TASK_RUNTIME, runtime, &b->err), &b->err);
	must(journal_set_text(b->j, TASK_RUNTIME_ROOT, b->root, &b->err), &b->err);
}

static void open_bed(struct bed *b, const char *runtime, const char *program)
{
	memset(b, 0, sizeof(*b));
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/runtime-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	(void)snprintf(b->bundle, sizeof(b->bundle), "%s/c1", b->dir);
	(void)snprintf(b->root, sizeof(b->root), "%s/root", b->dir);
	(void)snprintf(b->journal, sizeof(b->journal), "%s/journal", b->dir);
	(void)snprintf(b->run, sizeof(b->run), "%s/run", b->dir);
	(void)snprintf(b->cgroup, sizeof(b->cgroup), "/%s", strrchr(b->dir, '/') + 1);
	assert_int_equal(mkdir(b->bundle, 0700), 0);
	write_bundle(b, program);
	must(node_linux_new(&b->node, &b->err), &b->err);
	b->config = (struct config){ .journal = b->journal, .run = b->run, .runtime = (char *)"",
				     .file = (char *)"", .runtime_timeout_s = 30 };
	b->engine = (struct engine){ .node = b->node, .config = &b->config };
	must(journal_place_make(&b->place, b->journal, b->run, &b->err), &b->err);
	must(task_key_make(&b->key, "/c.sock", "default", "c1", &b->err), &b->err);
	must(journal_open(&b->j, &b->place, &b->key, JOURNAL_CREATE, &b->err), &b->err);
	fill_task(b, runtime);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void close_bed(struct bed *b)
{
	b->j = journal_close(b->j);
	b->node = node_linux_free(b->node);
	(void)nftw(b->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Let an event happen and carry out its plan. */
static enum run_state happen(struct bed *b, enum life_event ev, struct run_options *o)
{
	struct run *run = NULL;
	enum run_state state;

	must(run_open(&run, &b->engine, b->j, ev, o, &b->err), &b->err);
	state = drive(run, b->node, b->node->now_ms(b->node) + LIMIT_MS, NULL, NULL);
	b->err = *run_error(run);
	run_close(run);
	return state;
}

static enum run_state create(struct bed *b)
{
	struct run_options o = RUN_OPTIONS_INIT;
	auto_free char *request = NULL;

	assert_true(asprintf(&request,
		"{\"cgroups_path\":\"%s/c1\",\"rootfs\":[{\"type\":\"bind\",\"source\":\"/\","
		"\"target\":\"\",\"options\":[\"bind\",\"ro\"]}]}", b->cgroup) > 0);
	o.request = request;
	return happen(b, EV_CREATE, &o);
}

static struct ident init_of(struct bed *b)
{
	struct task_row row;
	struct ident init;

	must(journal_task(b->j, &row, &b->err), &b->err);
	init = row.init;
	task_row_clear(&row);
	return init;
}

/* Any trace of the task: a mount below the bed, its state, a cgroup of its name. */
static void nothing_is_left(struct bed *b)
{
	struct mount_list mounts = { 0 };
	struct path_ident what;
	char path[PATH_LEN + 80];

	must(b->node->mounts(b->node, &mounts, &b->err), &b->err);
	for (size_t i = 0; i < mounts.n; i++) {
		assert_null(strstr(mounts.at[i].target, b->dir));
		if (strncmp(mounts.at[i].type, "cgroup", 6) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%.150s%s", mounts.at[i].target, b->cgroup);
		assert_int_equal(b->node->path(b->node, path, &what, NULL), 0);
	}
	mount_list_clear(&mounts);
	/* What crun takes for a hierarchy, see supervisor/node/cgroup_paths.h. */
	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/unified%s", b->cgroup);
	assert_int_equal(b->node->path(b->node, path, &what, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/c1", b->root);
	assert_int_equal(b->node->path(b->node, path, &what, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/rootfs", b->bundle);
	assert_int_equal(b->node->path(b->node, path, &what, NULL), 0);
}

/* ---- with each runtime ----------------------------------------------------------- */

static void made_started_killed_and_taken_back(const char *runtime)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct ident init;
	struct bed b;

	open_bed(&b, runtime, "/bin/sleep");
	if (create(&b) != RUN_DONE)
		fail_msg("%s: %s", runtime, b.err.text);
	init = init_of(&b);
	assert_int_equal(b.node->alive(b.node, &init, &b.err), 1);
	if (happen(&b, EV_START, &o) != RUN_DONE)
		fail_msg("%s: %s", runtime, b.err.text);
	o.signal = SIGKILL;
	assert_int_equal(happen(&b, EV_KILL, &o), RUN_DONE);
	must(engine_fire(b.j, EV_EXIT, &(enum life_state){ LIFE_NONE_ }, &b.err), &b.err);
	if (happen(&b, EV_DELETE, &o) != RUN_DONE)
		fail_msg("%s: %s", runtime, b.err.text);
	assert_int_equal(b.node->alive(b.node, &init, &b.err), 0);
	nothing_is_left(&b);
	close_bed(&b);
}

static void refused_and_taken_back(const char *runtime)
{
	struct bed b;

	open_bed(&b, runtime, "/no/such/program");
	/* crun refuses at create; runc looks for the program at start. */
	if (create(&b) == RUN_DONE) {
		struct run_options o = RUN_OPTIONS_INIT;

		assert_int_equal(happen(&b, EV_START, &o), RUN_FAILED);
		assert_non_null(strstr(b.err.text, "OCI runtime start failed: "));
		assert_non_null(strstr(b.err.text, "no such file or directory"));
		assert_int_equal(happen(&b, EV_DELETE, &o), RUN_DONE);
	} else {
		assert_non_null(strstr(b.err.text, "OCI runtime create failed: "));
		assert_non_null(strcasestr(b.err.text, "no such file or directory"));
	}
	nothing_is_left(&b);
	close_bed(&b);
}

static void created_then_lost_and_taken_back(const char *runtime)
{
	struct recover_report report;
	struct ident init;
	struct bed b;

	open_bed(&b, runtime, "/bin/sleep");
	if (create(&b) != RUN_DONE)
		fail_msg("%s: %s", runtime, b.err.text);
	init = init_of(&b);
	b.j = journal_close(b.j);
	must(recover_task(&b.engine, &b.place, &b.key, RECOVER_DELETE, 0, &report, &b.err), &b.err);
	if (report.result != RECOVER_DONE)
		fail_msg("%s: %s", runtime, report.left);
	assert_int_equal(b.node->alive(b.node, &init, &b.err), 0);
	recover_report_clear(&report);
	nothing_is_left(&b);
	close_bed(&b);
}

static void with(const char *name, void (*test)(const char *runtime))
{
	auto_free char *dirs = strdup(getenv("PATH"));
	char *rest = dirs, *dir;

	while ((dir = strsep(&rest, ":")) != NULL) {
		char path[PATH_MAX];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
		if (access(path, X_OK) == 0) {
			test(path);
			return;
		}
	}
	print_message("# SKIP %s is not in PATH\n", name);
	skip();
}

/* A test of one runtime; cmocka hands it over as the state. */
struct of_runtime {
	const char *name;
	void (*test)(const char *runtime);
};

static void test_of_runtime(void **state)
{
	const struct of_runtime *of = *state;

	with(of->name, of->test);
}

#define OF(says, name, test) \
	{ says, test_of_runtime, NULL, NULL, &(struct of_runtime){ name, test } }

int main(void)
{
	const struct CMUnitTest tests[] = {
		OF("runc makes, starts and is killed, and nothing is left", "runc",
		   made_started_killed_and_taken_back),
		OF("crun makes, starts and is killed, and nothing is left", "crun",
		   made_started_killed_and_taken_back),
		OF("runc refuses a program, and nothing is left", "runc", refused_and_taken_back),
		OF("crun refuses a program, and nothing is left", "crun", refused_and_taken_back),
		OF("a created task of runc is lost, and nothing is left", "runc",
		   created_then_lost_and_taken_back),
		OF("a created task of crun is lost, and nothing is left", "crun",
		   created_then_lost_and_taken_back),
	};

	if (geteuid() != 0) {
		(void)puts("not root: no container can be made");
		return 77;
	}
	/* Mounts are the test's own; what a runtime leaves is reparented to us. */
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
		perror("a mount namespace of our own");
		return 77;
	}
	/* crun refuses both versions of cgroups at once, and so gets the first alone. */
	if (access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0)
		(void)umount2("/sys/fs/cgroup/unified", MNT_DETACH);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
