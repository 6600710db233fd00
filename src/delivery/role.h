/* delivery/role.h -- the process `goniec role delivery`. */
#pragma once

/* Runs until the supervisor goes or lets it go; what the process exits with. */
int delivery_main(void);
