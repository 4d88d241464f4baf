/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_disk.c - the disk under the journal: full when the simulated machine says so.
 *
 * SQLite lets a program replace the system calls it makes. What it has open below the
 * journal's root takes no more bytes then; a copy under /run does.
 */
#include "test/lib/sim_call.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FDS 1024

/* A replaced system call has no argument to keep this in. */
static struct {
	struct sim *sim;
	const char *root;
	bool below[FDS];
} disk;

static bool refused(int fd)
{
	struct sim *sim = disk.sim;

	if (sim->disk_counts && ++sim->calls == sim->die_at)
		sim_die();
	if (++sim->writes == sim->write_fails) {
		errno = EIO;
		return true;
	}
	if (!sim->disk_full || fd < 0 || fd >= FDS || !disk.below[fd])
		return false;
	errno = ENOSPC;
	return true;
}

static int disk_open(const char *path, int flags, int mode)
{
	int fd = open(path, flags, mode);

	if (fd >= 0 && fd < FDS)
		disk.below[fd] = strncmp(path, disk.root, strlen(disk.root)) == 0;
	return fd;
}

static ssize_t disk_pwrite(int fd, const void *buf, size_t n, off_t at)
{
	return refused(fd) ? -1 : pwrite(fd, buf, n, at);
}

static ssize_t disk_write(int fd, const void *buf, size_t n)
{
	return refused(fd) ? -1 : write(fd, buf, n);
}

static int disk_truncate(int fd, off_t size)
{
	return refused(fd) ? -1 : ftruncate(fd, size);
}

void sim_disk_init(struct sim *sim, const char *root)
{
	static const struct {
		const char *name;
		sqlite3_syscall_ptr call;
	} calls[] = {
		{ "open", (sqlite3_syscall_ptr)disk_open },
		{ "write", (sqlite3_syscall_ptr)disk_write },
		{ "pwrite", (sqlite3_syscall_ptr)disk_pwrite },
		{ "pwrite64", (sqlite3_syscall_ptr)disk_pwrite },
		{ "ftruncate", (sqlite3_syscall_ptr)disk_truncate },
	};
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	disk.sim = sim;
	disk.root = root;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		(void)vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call);
}
