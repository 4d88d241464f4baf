/* SPDX-License-Identifier: Apache-2.0 */
/*
 * famine.c - malloc() and its kin for LD_PRELOAD: the Nth of one process fails.
 *
 * What is behind is the C library's own. Its strdup(), asprintf(), fopen() and
 * opendir() call these as well, so nothing else need be replaced.
 */
#include "test/calls/famine.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t align, size_t size);

static struct famine *shared; /* NULL: nobody is denied anything */

static char denied_file[4096], crash_file[4096];

static void write_trace(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	void *at[64];

	if (fd < 0)
		return;
	backtrace_symbols_fd(at, backtrace(at, 64), fd);
	(void)close(fd);
}

static void on_crash(int sig)
{
	write_trace(crash_file);
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

static void prepare_traces(const char *path)
{
	void *at[1];

	(void)backtrace(at, 1); /* loads what it needs now */
	(void)snprintf(denied_file, sizeof(denied_file), "%s.denied", path);
	(void)snprintf(crash_file, sizeof(crash_file), "%s.crash", path);
	(void)signal(SIGSEGV, on_crash);
	(void)signal(SIGABRT, on_crash);
}

__attribute__((constructor)) static void find_page(void)
{
	const char *path = getenv(FAMINE_FILE);
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page;

	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED)
		shared = page;
	(void)close(fd);
	prepare_traces(path);
}

static bool denied(void)
{
	if (!shared || !shared->target || shared->target != getpid())
		return false;
	if (++shared->seen != shared->n)
		return false;
	shared->fell = true;
	write_trace(denied_file);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return denied() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return denied() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return denied() ? NULL : __libc_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, bytes);
}

void *memalign(size_t align, size_t size)
{
	return denied() ? NULL : __libc_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

int posix_memalign(void **ret, size_t align, size_t size)
{
	void *p = memalign(align, size);

	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}
