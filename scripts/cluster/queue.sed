# Edits Grid Engine's default queue into the queue of the test cluster.
s/^qname .*/qname main.q/
s/^hostlist .*/hostlist @allhosts/
s/^pe_list .*/pe_list mpi1 mpi2 smp any/
s/^slots .*/slots 2/
s/^load_thresholds .*/load_thresholds NONE/
s#^shell  *.*#shell /bin/bash#
s/^shell_start_mode .*/shell_start_mode unix_behavior/
s/^notify .*/notify 00:00:10/
s/^rerun .*/rerun FALSE/
