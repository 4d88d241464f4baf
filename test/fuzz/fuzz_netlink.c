/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever comes as a datagram of rtnetlink: strings end, lengths are right, and what would
 * be made of it can be chosen. */
#include "supervisor/net/choose.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEQ 1

static void check(const struct net_picture *p)
{
	for (size_t i = 0; i < p->n_links; i++)
		if (strlen(p->links[i].name) >= sizeof(p->links[i].name) ||
		    strlen(p->links[i].alias) >= sizeof(p->links[i].alias) ||
		    strlen(p->links[i].kind) >= sizeof(p->links[i].kind))
			abort();
	for (size_t i = 0; i < p->n_addrs; i++)
		if (p->addrs[i].prefix > (p->addrs[i].family == AF_INET ? 32 : 128))
			abort();
	for (size_t i = 0; i < p->n_tables; i++)
		if (strlen(p->tables[i].name) >= sizeof(p->tables[i].name))
			abort();
	for (size_t i = 0; i < p->n_filters; i++)
		if (p->filters[i].handle == 0)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_picture p = { 0 };
	struct net_choice c;
	struct err err = ERR_INIT;
	struct err why = ERR_INIT;
	void *copy = malloc(size ? size : 1); /* aligned, as what is received */
	int rc;

	if (!copy)
		abort();
	memcpy(copy, data, size);
	rc = wire_read(&p, copy, size, SEQ);
	if (rc > 1)
		abort();
	check(&p);
	if (net_choose(&c, &p, &err) == 0) {
		if (c.uplink && (!net_is_tap_name(c.tap) || net_link_named(&p, c.tap)))
			abort();
	} else if (err.text[0] == '\0') {
		abort();
	}
	if (net_choose_nat(&c, &p, &why) == 0) {
		if (c.uplink && (c.slot >= NAT_SLOTS || net_link_named(&p, c.tap)))
			abort();
	} else if (why.text[0] == '\0') {
		abort();
	}
	picture_clear(&p);
	free(copy);
	return 0;
}
