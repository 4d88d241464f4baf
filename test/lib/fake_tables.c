/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/fake_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void fake_node_clear(struct fake_node *f)
{
	for (size_t i = 0; i < f->n_files; i++)
		free(f->files[i].data);
	f->n_files = 0;
}

static struct fake_file *add(struct fake_node *f, const char *path, const char *data,
			     uint32_t mode)
{
	struct fake_file *file = &f->files[f->n_files++];

	*file = (struct fake_file){
		.data = data ? strdup(data) : NULL,
		.what = { .dev = 1, .ino = f->next_ino++, .mode = mode,
			  .size = data ? (int64_t)strlen(data) : 0 },
	};
	(void)snprintf(file->path, sizeof(file->path), "%s", path);
	return file;
}

struct fake_file *fake_add_file(struct fake_node *f, const char *path, const char *data)
{
	return add(f, path, data, S_IFREG | 0600);
}

struct fake_file *fake_add_program(struct fake_node *f, const char *path)
{
	return add(f, path, "", S_IFREG | 0755);
}

struct fake_file *fake_add_dir(struct fake_node *f, const char *path)
{
	return add(f, path, NULL, S_IFDIR | 0700);
}

struct fake_file *fake_add_socket(struct fake_node *f, const char *path, bool answers)
{
	struct fake_file *file = add(f, path, NULL, S_IFSOCK | 0600);

	file->answers = answers;
	return file;
}

void fake_remove(struct fake_node *f, const char *path)
{
	struct fake_file *file = fake_find(f, path);

	if (!file)
		return;
	free(file->data);
	*file = f->files[--f->n_files];
}

struct fake_proc *fake_add_proc(struct fake_node *f, pid_t pid, uint64_t start,
				const char *cgroups)
{
	struct fake_proc *p = &f->procs[f->n_procs++];

	*p = (struct fake_proc){
		.info = { .ident = { .pid = pid, .start = start }, .ppid = 1, .state = 'S',
			  .comm = "sh" },
		.cgroups = cgroups,
		.status = -1,
	};
	return p;
}

void fake_add_mount(struct fake_node *f, int64_t id, int64_t parent, const char *target,
		    const char *type, const char *source)
{
	f->mounts[f->n_mounts++] = (struct mount_info){
		.id = id, .parent = parent, .minor = (uint32_t)id, .root = (char *)"/",
		.target = (char *)target, .type = (char *)type, .source = (char *)source,
	};
}

void fake_remove_mount(struct fake_node *f, int64_t id)
{
	for (size_t i = 0; i < f->n_mounts; i++)
		if (f->mounts[i].id == id) {
			memmove(&f->mounts[i], &f->mounts[i + 1],
				(f->n_mounts - i - 1) * sizeof(f->mounts[0]));
			f->n_mounts--;
			return;
		}
}

struct fake_cgroup *fake_add_cgroup(struct fake_node *f, const char *path)
{
	struct fake_cgroup *cg = &f->cgroups[f->n_cgroups++];

	*cg = (struct fake_cgroup){ .what = { .dev = 2, .ino = f->next_ino++,
					      .mode = S_IFDIR | 0755 } };
	(void)snprintf(cg->path, sizeof(cg->path), "%s", path);
	return cg;
}

struct fake_file *fake_find(struct fake_node *f, const char *path)
{
	for (size_t i = 0; i < f->n_files; i++)
		if (strcmp(f->files[i].path, path) == 0)
			return &f->files[i];
	return NULL;
}

struct fake_cgroup *fake_find_cgroup(struct fake_node *f, const char *path)
{
	for (size_t i = 0; i < f->n_cgroups; i++)
		if (strcmp(f->cgroups[i].path, path) == 0)
			return &f->cgroups[i];
	return NULL;
}
