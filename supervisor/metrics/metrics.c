/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/metrics/metrics.h"

#include "journal/base/cleanup.h"
#include "supervisor/metrics/build.h"

#include <string.h>

#define TEXT_MAX  (1u << 20) /* of one file: io.stat with ten thousand disks */
#define HUGEPAGES "/sys/kernel/mm/hugepages"

char *build_read(struct build *b, const char *folder, const char *file)
{
	auto_free char *path = NULL;
	char *text = NULL;
	int rc;

	if (!folder)
		return NULL;
	if (asprintf(&path, "%s/%s", folder, file) < 0) {
		path = NULL;
		b->mem.failed = true;
		return NULL;
	}
	rc = b->node->read_file(b->node, path, TEXT_MAX, &text, NULL, NULL);
	if (rc == -ENOMEM)
		b->mem.failed = true;
	return rc < 0 ? NULL : text;
}

uint64_t build_number(struct build *b, const char *folder, const char *file, uint64_t max)
{
	auto_free char *text = build_read(b, folder, file);

	return text ? stat_number(text, max) : 0;
}

bool build_keys(struct build *b, const char *folder, const char *file,
		const struct stat_key *keys, size_t n, void *into)
{
	auto_free char *text = build_read(b, folder, file);

	if (!text || !*text)
		return false;
	stat_keys(text, keys, n, into);
	return true;
}

void *build_message(struct build *b, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *m = scratch_get(&b->mem, type->sizeof_message);

	if (m)
		type->message_init(m);
	return m;
}

void **build_lines(struct build *b, const char *folder, const char *file, build_line_fn *line,
		   void *arg, size_t *n)
{
	auto_free char *text = build_read(b, folder, file);
	const char *rest = text;
	struct span at;
	void **list;

	*n = 0;
	if (!text)
		return NULL;
	list = scratch_get(&b->mem, stat_lines(text) * sizeof(*list));
	while (list && span_line(&rest, &at)) {
		list[*n] = line(b, at, arg);
		*n += list[*n] != NULL;
	}
	return list;
}

void *build_rdma_line(struct build *b, struct span line, void *arg)
{
	const ProtobufCMessageDescriptor *type = arg;
	struct rdma_line numbers;
	char *device;
	char *m;

	if (!stat_rdma(line, &numbers))
		return NULL;
	m = build_message(b, type);
	device = scratch_text(&b->mem, "", numbers.device);
	if (!m || !device)
		return NULL;
	memcpy(m + type->fields[0].offset, &device, sizeof(device));
	memcpy(m + type->fields[1].offset, &numbers.handles, sizeof(uint32_t));
	memcpy(m + type->fields[2].offset, &numbers.objects, sizeof(uint32_t));
	return m;
}

uint64_t build_hugetlb(struct build *b, const char *folder, const char *size, const char *what)
{
	char file[64];

	snprintf(file, sizeof(file), "hugetlb.%s.%s", size, what);
	return build_number(b, folder, file, UINT64_MAX);
}

char **build_hugepages(struct build *b, size_t *n)
{
	char **names = NULL;
	char **ret;
	size_t count = 0;
	char size[24];
	int rc = b->node->list_dir(b->node, HUGEPAGES, &names, NULL);

	*n = 0;
	if (rc == -ENOMEM)
		b->mem.failed = true;
	if (rc < 0)
		return NULL;
	while (names[count])
		count++;
	ret = scratch_get(&b->mem, (count + 1) * sizeof(*ret));
	for (size_t i = 0; ret && i < count; i++) {
		if (!stat_hugepage(names[i], size))
			continue;
		ret[*n] = scratch_text(&b->mem, "", (struct span){ size, strlen(size) });
		*n += ret[*n] != NULL;
	}
	free(names);
	return ret;
}

static int pack(const ProtobufCMessage *m, struct metrics *ret)
{
	size_t len = protobuf_c_message_get_packed_size(m);

	ret->data = malloc(len + 1); /* an empty message has a value too */
	if (!ret->data)
		return -ENOMEM;
	ret->type = m->descriptor->name;
	ret->len = protobuf_c_message_pack(m, ret->data);
	return 0;
}

int metrics_read(struct node *node, const struct cgroup_folders *folders, struct metrics *ret,
		 struct err *err)
{
	struct build b = { .node = node };
	const ProtobufCMessage *m = folders->unified ? build_v2(&b, folders->unified)
						     : build_v1(&b, folders);
	int rc = !m || b.mem.failed ? -ENOMEM : 0;

	*ret = (struct metrics){ .data = NULL };
	if (rc == 0)
		rc = pack(m, ret);
	scratch_clear(&b.mem);
	return rc < 0 ? err_set(err, ENOMEM, "read what the container uses") : 0;
}

void metrics_clear(struct metrics *m)
{
	free(m->data);
	*m = (struct metrics){ .data = NULL };
}
