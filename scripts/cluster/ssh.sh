# shellcheck shell=bash disable=SC2154
# Secure shell on the hosts, as on clusters whose PBS starts nothing on other hosts.

ssh_up() {
    local host place=$ROOT/ssh
    mkdir -p "$place"
    ssh-keygen -q -t ed25519 -N '' -f "$place/key"
    cat >"$place/sshd_config" <<END
HostKey $place/key
AuthorizedKeysFile $place/key.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
END
    cat >"$place/ssh_config" <<END
IdentityFile $place/key
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
END
    for host in "${HOSTS[@]}"; do
        on "$host" sh -c "
            mkdir -p /run/sshd
            mount --bind $place/ssh_config /etc/ssh/ssh_config
            exec /usr/sbin/sshd -f $place/sshd_config"
    done
}
