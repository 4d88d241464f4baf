/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/net/net.h"

#include <errno.h>

static int not_yet(struct err *err)
{
	return err_say(err, EOPNOTSUPP, "network: not supported yet; use mode \"none\"");
}

int net_look(json_object *args, struct err *err)
{
	(void)args;
	return not_yet(err);
}

int net_attach(json_object *args, struct err *err)
{
	(void)args;
	return not_yet(err);
}

int net_detach(json_object *args, struct err *err)
{
	(void)args;
	return not_yet(err);
}
