/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/uruncctl/ctl.h"
#include "supervisor/life/print.h"

int ctl_states(struct ctl *ctl)
{
	life_print(stdout, ctl->flags & FLAG_MDOC ? LIFE_MDOC : LIFE_PLAIN);
	return CTL_CLEAN;
}
