# shellcheck shell=bash disable=SC2154
# sshd on the hosts: launchers use ssh where PBS does not start processes on other hosts.

ssh_up() {
    local host directory=$ROOT/ssh
    mkdir -p "$directory"
    ssh-keygen -q -t ed25519 -N '' -f "$directory/key"
    cat >"$directory/sshd_config" <<END
HostKey $directory/key
AuthorizedKeysFile $directory/key.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
END
    cat >"$directory/ssh_config" <<END
IdentityFile $directory/key
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
END
    for host in "${HOSTS[@]}"; do
        on "$host" sh -c "
            mkdir -p /run/sshd
            mount --bind $directory/ssh_config /etc/ssh/ssh_config
            exec /usr/sbin/sshd -f $directory/sshd_config"
    done
}
