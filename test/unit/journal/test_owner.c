/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns a task, as the one is told who meets that owner: by its number, if the kernel
 * tells it; and what is not touched while there is one.
 *
 * The owner is a process of its own that has the lock and does nothing with the task.
 */
#include "journal/base/file.h"
#include "journal/journal.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct world {
	struct test_place p;
	struct task_key key;
	struct err err;
	char lock[PATH_MAX];
	pid_t owner;
};

static void owner_dies(struct world *w)
{
	if (w->owner <= 0)
		return;
	kill(w->owner, SIGKILL);
	assert_int_equal(waitpid(w->owner, NULL, 0), w->owner);
	w->owner = 0;
}

/* A caught call has no argument to keep this in. */
static struct {
	int untold;         /* not 0: the kernel does not tell who has a lock */
	struct world *ends; /* its owner dies just before the kernel tells    */
} caught;

int fcntl(int fd, int command, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, command);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (command == F_GETLK && caught.ends)
		owner_dies(caught.ends);
	if (command == F_GETLK && caught.untold) {
		errno = caught.untold;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, command, arg);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	test_place_make(&w->p, NULL);
	w->key = test_key("c1");
	snprintf(w->lock, sizeof(w->lock), "%s/lock/%s/%s/%s", w->p.run, w->key.daemon, w->key.ns,
		 w->key.id);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	memset(&caught, 0, sizeof(caught));
	owner_dies(w);
	test_place_remove(&w->p);
	free(w);
	return 0;
}

static int open_lock(struct world *w)
{
	int fd;

	assert_int_equal(file_mkparents(w->lock, 0700, &w->err), 0);
	fd = open(w->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void owner_comes(struct world *w)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int locked[2], fd = open_lock(w);
	char byte = 0;

	assert_int_equal(pipe(locked), 0);
	w->owner = fork();
	assert_true(w->owner >= 0);
	if (w->owner == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fcntl(fd, F_SETLK, &l) < 0 || write(locked[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(locked[1]);
	assert_int_equal(read(locked[0], &byte, 1), 1);
	close(locked[0]);
	close(fd);
}

/* A file that a dead finish left of the task. */
static void leave(struct world *w, const char *tail)
{
	char path[PATH_MAX];

	test_live_path(&w->p, "c1", tail, path);
	assert_int_equal(file_mkparents(path, 0700, &w->err), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600, &w->err), 0);
}

static bool is_left(struct world *w, const char *tail)
{
	char path[PATH_MAX];

	test_live_path(&w->p, "c1", tail, path);
	return !file_missing(path);
}

/* Each way to take the task is refused with a sentence that has @part. */
static void nobody_takes_it(struct world *w, const char *part)
{
	struct journal *j = NULL;

	for (int how = JOURNAL_OWN; how <= JOURNAL_CREATE; how++) {
		w->err = (struct err)ERR_INIT;
		assert_int_equal(journal_open(&j, &w->p.place, &w->key, (enum journal_open)how,
					      &w->err), -EAGAIN);
		assert_non_null(strstr(w->err.text, part));
	}
	assert_null(j);
}

/* Of a task without a file: what is left of it is perhaps its maker's. */
static void nobody_sweeps_it(struct world *w, const char *part)
{
	leave(w, "-wal");
	w->err = (struct err)ERR_INIT;
	assert_int_equal(journal_sweep(&w->p.place, &w->key, &w->err), -EAGAIN);
	assert_non_null(strstr(w->err.text, part));
	assert_int_equal(journal_prune(&w->p.place, 3600, 10, &w->err), 0);
	assert_true(is_left(w, "-wal"));
	assert_false(file_missing(w->lock));
}

static void it_is_swept(struct world *w)
{
	assert_int_equal(journal_sweep(&w->p.place, &w->key, &w->err), 0);
	assert_false(is_left(w, "-wal"));
	assert_true(file_missing(w->lock));
}

static void an_owner_is_told_by_its_number(void **state)
{
	struct world *w = *state;
	char part[64];

	journal_close(test_open(&w->p, "c1", JOURNAL_CREATE));
	owner_comes(w);
	snprintf(part, sizeof(part), "default/c1 is owned by process %d,", (int)w->owner);
	nobody_takes_it(w, part);
	owner_dies(w);
	journal_close(test_open(&w->p, "c1", JOURNAL_OWN));
}

static void what_is_left_of_a_task_with_an_owner_stays(void **state)
{
	struct world *w = *state;
	char part[64];

	owner_comes(w);
	snprintf(part, sizeof(part), "default/c1 is owned by process %d,", (int)w->owner);
	nobody_sweeps_it(w, part);
	owner_dies(w);
	it_is_swept(w);
}

/* A lock of a descriptor, which has no process: the kernel's answer is the same for one
 * beyond this pid namespace. */
static void an_owner_without_a_number_is_one(void **state)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct world *w = *state;
	int fd = open_lock(w);
	pid_t who = 0;

	leave(w, "");
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
	assert_int_equal(journal_owner(&w->p.place, &w->key, &who, &w->err), 0);
	assert_int_equal(who, -1);
	nobody_takes_it(w, "default/c1 is owned by a process of another pid namespace, which lives");
	close(fd);
	assert_int_equal(journal_owner(&w->p.place, &w->key, &who, &w->err), 0);
	assert_int_equal(who, 0);
}

/* A child has the descriptors of its parent, and none of its locks. */
static void an_own_descriptor_of_the_lock_does_not_make_an_owner(void **state)
{
	struct world *w = *state;
	pid_t who = 0;
	int fd;

	journal_close(test_open(&w->p, "c1", JOURNAL_CREATE));
	owner_comes(w);
	fd = open_lock(w);
	assert_int_equal(journal_owner(&w->p.place, &w->key, &who, &w->err), 0);
	assert_int_equal(who, w->owner);
	nobody_takes_it(w, "is owned by process ");
	close(fd);
}

/* Between the refusal and the question by whom. */
static void an_owner_who_dies_meanwhile_is_followed(void **state)
{
	struct world *w = *state;
	struct journal *j;

	journal_close(test_open(&w->p, "c1", JOURNAL_CREATE));
	owner_comes(w);
	caught.ends = w;
	j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(w->owner, 0);
	assert_int_equal(journal_lease(j), 2);
	journal_close(j);
}

/* Refused is what is held, whether or not the kernel tells by whom. */
static void an_owner_of_whom_the_kernel_tells_nothing_is_one(void **state)
{
	struct world *w = *state;
	pid_t who;

	owner_comes(w);
	caught.untold = EIO;
	nobody_sweeps_it(w, w->lock);
	leave(w, "");
	nobody_takes_it(w, w->lock);
	assert_int_equal(journal_owner(&w->p.place, &w->key, &who, &w->err), -EIO);
	assert_non_null(strstr(w->err.text, w->lock));
	caught.untold = 0;
	nobody_takes_it(w, "is owned by process ");
}

static void an_owner_who_can_not_ask_about_itself_stays_one(void **state)
{
	struct world *w = *state;
	struct journal *again = NULL, *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	pid_t who;

	caught.untold = EIO;
	assert_int_equal(journal_owner(&w->p.place, &w->key, &who, &w->err), -EIO);
	assert_non_null(strstr(w->err.text, w->lock));
	assert_int_equal(journal_open(&again, &w->p.place, &w->key, JOURNAL_OWN, &w->err), -EIO);
	assert_null(again);
	caught.untold = 0;
	assert_int_equal(journal_owner(&w->p.place, &w->key, &who, &w->err), 0);
	assert_int_equal(who, getpid());
	assert_int_equal(journal_note(j, "still", "mine", &w->err), 0);
	journal_close(j);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(an_owner_is_told_by_its_number),
		T(what_is_left_of_a_task_with_an_owner_stays),
		T(an_owner_without_a_number_is_one),
		T(an_own_descriptor_of_the_lock_does_not_make_an_owner),
		T(an_owner_who_dies_meanwhile_is_followed),
		T(an_owner_of_whom_the_kernel_tells_nothing_is_one),
		T(an_owner_who_can_not_ask_about_itself_stays_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
