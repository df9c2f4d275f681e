# shellcheck shell=bash disable=SC2154
# sshd on the hosts: launchers use ssh where PBS does not start processes on other hosts.

ssh_up() {
    local host folder=$ROOT/ssh
    mkdir -p "$folder"
    ssh-keygen -q -t ed25519 -N '' -f "$folder/key"
    cat >"$folder/sshd_config" <<END
HostKey $folder/key
AuthorizedKeysFile $folder/key.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
END
    cat >"$folder/ssh_config" <<END
IdentityFile $folder/key
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
END
    for host in "${HOSTS[@]}"; do
        on "$host" sh -c "
            mkdir -p /run/sshd
            mount --bind $folder/ssh_config /etc/ssh/ssh_config
            exec /usr/sbin/sshd -f $folder/sshd_config"
    done
}
