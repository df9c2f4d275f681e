# shellcheck shell=bash disable=SC2034,SC2154
# Slurm's accounting: MariaDB and slurmdbd on head. The database lies in head's /run, a
# tmpfs, and its server ends with the host.

ACCOUNTING_PACKAGES=(slurmdbd mariadb-server slurm-wlm-mysql-plugin)

# usage: slurm_restart: restart the controller, which reads slurm.conf again. By its file:
# from 23.11 on `scontrol reconfigure` starts it again as a process of another name.
slurm_restart() {
    on head pkill -F /run/slurmctld.pid
    retry 30 on head sh -c '! pgrep -F /run/slurmctld.pid'
    on head slurmctld
    retry 60 on head sh -c 'scontrol ping | grep -q UP'
}

accounting_up() {
    local data=/run/mysqld/data
    cat >"$ROOT/slurmdbd.conf" <<END_OF_FILE
AuthType=auth/munge
DbdHost=head
SlurmUser=slurm
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StorageLoc=slurm_acct_db
PidFile=/run/slurmdbd.pid
LogFile=/var/log/slurmdbd.log
END_OF_FILE
    # MariaDB 11.8.9 of sid looks for the socket in /run/mariadbd, others in /run/mysqld.
    # Slurm does not support the isolation that is the default from 11.8 on.
    on head sh -c "
        ln -sfn mysqld /run/mariadbd
        chown slurm: $ROOT/slurmdbd.conf && chmod 600 $ROOT/slurmdbd.conf
        mkdir -p $data && chown -R mysql: /run/mysqld
        mariadb-install-db --no-defaults --user=mysql --datadir=$data --skip-test-db
        setsid mariadbd --no-defaults --user=mysql --datadir=$data --skip-networking \
            --socket=/run/mysqld/mysqld.sock --pid-file=/run/mysqld/pid \
            --innodb-buffer-pool-size=64M --loose-innodb-snapshot-isolation=OFF </dev/null &" >"$ROOT/log/mariadb.log" 2>&1
    retry 60 on head mariadb-admin --no-defaults ping
    on head mariadb --no-defaults -e "CREATE DATABASE slurm_acct_db;
        CREATE USER slurm@localhost IDENTIFIED VIA unix_socket;
        GRANT ALL ON slurm_acct_db.* TO slurm@localhost"
    on head runuser -u slurm -- slurmdbd
    # The controller forgets a job two seconds after its end: then accounting alone knows it.
    sed -i 's/^MinJobAge=.*/MinJobAge=2/' "$SLURM_CONF"
    printf '%s\n' AccountingStorageType=accounting_storage/slurmdbd \
        AccountingStorageHost=head >>"$SLURM_CONF"
    retry 60 on head sacctmgr -n show cluster # slurmdbd has made its tables
    # 24.11 has the number that it chose for the cluster; the new database has another.
    on head rm -f /var/spool/slurmctld/clustername
    slurm_restart
    retry 60 on head sh -c "sacctmgr -n show cluster format=cluster,controlhost | grep -q mpiapps"
}

accounting_down() {
    sed -i '/^AccountingStorage/d; s/^MinJobAge=.*/MinJobAge=3600/' "$SLURM_CONF"
    slurm_restart
    on head pkill -x slurmdbd
    on head mariadb-admin --no-defaults shutdown
    on head rm -rf /run/mysqld /run/mariadbd
}
