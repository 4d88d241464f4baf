/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_deaths.c - all deaths of one party, for the price of one life: at each of its calls
 * it stands still, and what its death would leave is copied, machine and journal.
 *
 * A file that is copied has no locks and is open nowhere, as after the death of who had
 * it; so the copy is what the next one finds.
 */
#include "test/lib/sim_call.h"
#include "test/lib/sim_player.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the copy ----------------------------------------------------------------------------- */

static void copy_file(int from, int to, const char *name, off_t size)
{
	int in = openat(from, name, O_RDONLY | O_CLOEXEC);
	int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (in < 0 || out < 0 || (size && sendfile(out, in, NULL, (size_t)size) != size))
		abort();
	close(in);
	close(out);
}

static void copy_folder(int from, int to)
{
	DIR *dir = fdopendir(from);
	const struct dirent *e;
	struct stat st;

	while (dir && (e = readdir(dir))) {
		int sub, as;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    fstatat(from, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode))
			copy_file(from, to, e->d_name, st.st_size);
		if (!S_ISDIR(st.st_mode))
			continue;
		if (mkdirat(to, e->d_name, st.st_mode & 07777) < 0)
			abort();
		sub = openat(from, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		as = openat(to, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (sub < 0 || as < 0)
			abort();
		copy_folder(sub, as);
		close(as);
	}
	if (!dir)
		abort();
	closedir(dir);
}

/* Who was played by @real is dead there. */
static void copy_stage(struct stage *to, const struct stage *from, pid_t real)
{
	int in, out;

	stage_place(to);
	in = open(from->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	out = open(to->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (in < 0 || out < 0)
		abort();
	copy_folder(in, out);
	close(out);
	memcpy(to->sim, from->sim, sizeof(*to->sim));
	to->sim->slice = 0;
	for (int i = 0; i < SIM_PROCS; i++)
		if (to->sim->procs[i].played_by == real)
			to->sim->procs[i].played_by = getpid();
	sim_dead(to->sim);
}

/* ---- all of them --------------------------------------------------------------------------- */

int stage_deaths(struct stage *s, enum part (*play)(struct player *p), int first, int step,
		 void (*dead)(struct stage *left, int at, void *arg), void *arg)
{
	struct stage left = *s;
	int line[2], calls = 0;
	struct player p;
	pid_t real;
	char c;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) < 0)
		abort();
	s->sim->calls = 0;
	s->sim->slice = 1;
	real = stage_fork();
	if (real == 0) {
		close(line[0]);
		player_init(&p, s);
		p.node.conductor = line[1];
		sim_leave(play(&p));
	}
	close(line[1]);
	left.sim = sim_new();
	while (read(line[0], &c, 1) == 1) {
		calls = s->sim->calls;
		if (calls >= first && (calls - first) % step == 0) {
			copy_stage(&left, s, real);
			dead(&left, calls, arg);
			stage_remove(&left);
		}
		s->sim->slice = 1;
		if (write(line[0], &c, 1) != 1)
			abort();
	}
	close(line[0]);
	sim_free(left.sim);
	s->sim->slice = 0;
	if (stage_ended(s, real) != PART_OK)
		abort();
	return calls;
}
