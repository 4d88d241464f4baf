/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest of ours, booted by this machine's QEMU with exactly the words that the tables
 * make, without KVM. QEMU is the one that test/peers fetched; without it the whole is
 * skipped.
 */
#include "supervisor/unikernel/argv.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define LIMIT_MS 20000
#define QEMU     "build/peers/bin/qemu-system-x86_64"

/* Names with blanks and commas, since those are what goes wrong. */
#define KERNEL "my kernel"
#define PVH    "my other kernel"
#define DISK   "my disk,1.img"

struct bed {
	char dir[64];
	char kernel[128], pvh[128], disk[128], initrd[128];
};

struct boot {
	char text[4096]; /* what the guest said */
	int status;      /* of wait(2)          */
};

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static void become(struct argv *argv, int out)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
		(void)execv(argv->at[0], argv->at);
	_exit(127);
}

/* Read until the end, or until @until is there; SIGTERM then. false: it took too long. */
static bool follow(struct boot *b, pid_t pid, int from, const char *until)
{
	int64_t end = now_ms() + LIMIT_MS;
	size_t used = 0;

	for (;;) {
		struct pollfd p = { .fd = from, .events = POLLIN };
		int64_t left = end - now_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return false;
		n = read(from, b->text + used, sizeof(b->text) - 1 - used);
		if (n <= 0)
			return true;
		used += (size_t)n;
		b->text[used] = '\0';
		if (until && strstr(b->text, until)) {
			(void)kill(pid, SIGTERM);
			until = NULL;
		}
	}
}

static void run(struct boot *b, struct argv *argv, const char *until)
{
	int pipes[2];
	bool ended;
	pid_t pid;

	*b = (struct boot){ .status = -1 };
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		become(argv, pipes[1]);
	(void)close(pipes[1]);
	ended = follow(b, pid, pipes[0], until);
	if (!ended)
		(void)kill(pid, SIGKILL);
	(void)close(pipes[0]);
	assert_int_equal(waitpid(pid, &b->status, 0), pid);
	if (!ended)
		fail_msg("the guest did not end within %d ms; it said: %s", LIMIT_MS, b->text);
}

static struct launch launch(const struct bed *bed, const char *guest, const char *cmdline)
{
	return (struct launch){
		.monitor = monitor_find("qemu"), .guest = guest_find(guest), .program = QEMU,
		.kernel = bed->kernel, .cmdline = cmdline, .memory = 64 << 20, .vcpus = 1,
		.seccomp = true,
	};
}

static void boot(struct boot *b, const struct launch *l, const char *until)
{
	struct argv argv = { .n = 0 };
	struct err err = ERR_INIT;

	if (launch_argv(&argv, l, &err) < 0)
		fail_msg("%s", err.text);
	run(b, &argv, until);
	argv_clear(&argv);
}

static void said(const struct boot *b, const char *what)
{
	if (!strstr(b->text, what))
		fail_msg("\"%s\" is not in what the guest said: %s", what, b->text);
}

static void ended_with(const struct boot *b, int code)
{
	if (!WIFEXITED(b->status) || WEXITSTATUS(b->status) != code)
		fail_msg("wait status %#x, not exit code %d; it said: %s", (unsigned int)b->status,
			 code, b->text);
}

static void a_guest_gets_its_command_line_and_its_code_comes_back(void **state)
{
	const struct bed *bed = *state;
	struct launch l = launch(bed, "mewz", "exit=16 'two words'");
	struct boot b;
	char line[256];

	boot(&b, &l, NULL);
	(void)snprintf(line, sizeof(line), "guest: cmdline=[%s exit=16 'two words']\n", bed->kernel);
	said(&b, "guest: multiboot\n");
	said(&b, line);
	said(&b, "guest: initrds=0 disks=0\n");
	ended_with(&b, 33); /* isa-debug-exit: twice, and one */
}

/* As the monitors load it that know no multiboot. */
static void a_guest_is_loaded_by_pvh_too(void **state)
{
	const struct bed *bed = *state;
	struct launch l = launch(bed, "mewz", "exit=2 x");
	struct boot b;

	l.kernel = bed->pvh;
	l.initrd = bed->initrd;
	boot(&b, &l, NULL);
	said(&b, "guest: pvh\nguest: cmdline=[exit=2 x]\nguest: initrds=1 disks=0\n");
	ended_with(&b, 5);
}

static void a_guest_that_switches_off_ends_with_0(void **state)
{
	static const struct guest_net net = { .ip = "10.4.0.9", .gateway = "10.4.0.1", .prefix = 24 };
	static const char *const args[] = { "/app", "a file", NULL };
	const struct guest_in in = { .args = args, .net = &net, .version = "", .monitor = "qemu" };
	auto_free char *cmdline = NULL;
	struct err err = ERR_INIT;
	struct launch l;
	struct boot b;

	assert_int_equal(guest_cmdline(guest_find("hermit"), &in, &cmdline, &err), 0);
	l = launch(*state, "hermit", cmdline);
	boot(&b, &l, NULL);
	said(&b, " ip=10.4.0.9/24 gateway=10.4.0.1 -- /app 'a file']\n");
	ended_with(&b, 0);
}

static void a_guest_sees_its_disk_and_its_initrd(void **state)
{
	const struct bed *bed = *state;
	const struct launch_drive disk = { .id = "rootfs", .path = bed->disk };
	struct launch l = launch(bed, "mewz", "exit=1");
	struct boot b;

	l.drives = &disk;
	l.n_drives = 1;
	l.initrd = bed->initrd;
	boot(&b, &l, NULL);
	said(&b, "guest: initrds=1 disks=1\n");
	ended_with(&b, 3);
}

static void a_guest_that_stays_is_ended_by_sigterm(void **state)
{
	struct launch l = launch(*state, "mewz", "spin");
	struct boot b;

	boot(&b, &l, "disks=0\n");
	ended_with(&b, 0);
}

/* ---- the bed ------------------------------------------------------------------- */

static void make_file(const char *path, off_t size)
{
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
}

/* 0; 77: not on this machine, it has said why. */
static int build(const char *kernel, const char *how)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		(void)dup2(2, 1);
		(void)execl("test/guest/build", "build", kernel, how, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 127;
	return WEXITSTATUS(status);
}

static int bed_open(struct bed *bed)
{
	const char *tmp = getenv("TMPDIR");
	int rc;

	(void)snprintf(bed->dir, sizeof(bed->dir), "%.40s/guest-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(bed->dir)) {
		perror(bed->dir);
		return 1;
	}
	(void)snprintf(bed->kernel, sizeof(bed->kernel), "%s/" KERNEL, bed->dir);
	(void)snprintf(bed->pvh, sizeof(bed->pvh), "%s/" PVH, bed->dir);
	(void)snprintf(bed->disk, sizeof(bed->disk), "%s/" DISK, bed->dir);
	(void)snprintf(bed->initrd, sizeof(bed->initrd), "%s/initrd", bed->dir);
	make_file(bed->disk, 1 << 20);
	make_file(bed->initrd, 512);
	rc = build(bed->kernel, NULL);
	return rc ? rc : build(bed->pvh, "pvh");
}

static void bed_close(struct bed *bed)
{
	(void)unlink(bed->kernel);
	(void)unlink(bed->pvh);
	(void)unlink(bed->disk);
	(void)unlink(bed->initrd);
	(void)rmdir(bed->dir);
}

int main(void)
{
	struct bed bed;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(a_guest_gets_its_command_line_and_its_code_comes_back, &bed),
		cmocka_unit_test_prestate(a_guest_is_loaded_by_pvh_too, &bed),
		cmocka_unit_test_prestate(a_guest_that_switches_off_ends_with_0, &bed),
		cmocka_unit_test_prestate(a_guest_sees_its_disk_and_its_initrd, &bed),
		cmocka_unit_test_prestate(a_guest_that_stays_is_ended_by_sigterm, &bed),
	};
	int rc;

	if (access(QEMU, X_OK) < 0) {
		(void)printf("there is no " QEMU ": test/peers qemu fetches it\n");
		return 77;
	}
	rc = bed_open(&bed);
	if (rc == 0)
		rc = cmocka_run_group_tests(tests, NULL, NULL);
	bed_close(&bed);
	return rc;
}
