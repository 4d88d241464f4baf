/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever control files hold, the message is complete and one that a peer takes. The
 * first byte says which version, and which files there are; each file is a part of the
 * rest, from a byte that its name chooses.
 */
#include "supervisor/metrics/metrics.h"

#include "proto/api/cgroups_v1.pb-c.h"
#include "proto/api/cgroups_v2.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	struct node node; /* first */
	const uint8_t *data;
	size_t size;
	uint8_t missing;
};

static int read_part(struct node *n, const char *path, size_t max, char **ret, size_t *len,
		     struct err *err)
{
	const struct input *in = (struct input *)n;
	unsigned sum = 0;

	(void)max;
	(void)len;
	for (const char *p = path; *p; p++)
		sum = sum * 31 + (uint8_t)*p;
	if (in->missing && sum % 8 == in->missing % 8u)
		return err_set(err, ENOENT, "%s", path);
	sum = in->size ? sum % 4 * (unsigned)(in->size / 4) : 0;
	*ret = strndup((const char *)in->data + sum, in->size - sum);
	return *ret ? 0 : err_set(err, ENOMEM, "%s", path);
}

static int list_sizes(struct node *n, const char *path, char ***ret, struct err *err)
{
	const struct input *in = (struct input *)n;
	size_t len = in->size < 40 ? in->size : 40;
	char **list = calloc(1, 2 * sizeof(*list) + 64);

	(void)path;
	(void)err;
	if (!list)
		abort();
	list[0] = (char *)(list + 2);
	memcpy(list[0], "hugepages-", 10);
	memcpy(list[0] + 10, in->data, len);
	*ret = list;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .node = { .read_file = read_part, .list_dir = list_sizes } };
	struct cgroup_folders folders = { .unified = NULL };
	const ProtobufCMessageDescriptor *type = &io__containerd__cgroups__v2__metrics__descriptor;
	ProtobufCMessage *back;
	struct metrics m;

	if (size < 1)
		return 0;
	in.data = data + 1;
	in.size = size - 1;
	in.missing = data[0] >> 1;
	if (data[0] & 1) {
		folders.unified = (char[]){ "/g" };
	} else {
		type = &io__containerd__cgroups__v1__metrics__descriptor;
		for (int c = 0; c < CGROUP_N; c++)
			folders.of[c] = (char[]){ "/g" };
	}
	if (metrics_read(&in.node, &folders, &m, NULL) < 0 || strcmp(m.type, type->name) != 0)
		abort();
	back = protobuf_c_message_unpack(type, NULL, m.len, m.data);
	if (!back || !protobuf_c_message_check(back))
		abort();
	protobuf_c_message_free_unpacked(back, NULL);
	/* About forty files, of which a line is never much longer in the message. */
	if (m.len > size * 400 + 4096)
		abort();
	metrics_clear(&m);
	return 0;
}
