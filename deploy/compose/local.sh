#!/usr/bin/env bash
# Makes the secrets of local.yaml in local/secrets, once: what is there stays.
# KEYSET is the command that prints a new keyset, DIRECTORY another place.
# Files are readable by all, since each container has a user of its own; their
# directory is the owner's alone.
set -Eeuo pipefail

cd "$(dirname "$(realpath "$0")")"
dir=${DIRECTORY:-local/secrets}
read -ra keyset <<<"${KEYSET:-docker compose -f local.yaml run --build --rm --no-deps -T keyset}"
mkdir -p "$dir"
chmod 0700 "$dir"
umask 0222
random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
keep() { # keep NAME: the standard input, unless there is one
	if [[ -s $dir/$1 ]]; then
		cat >/dev/null
	else
		rm -f "$dir/$1"
		cat >"$dir/$1"
	fi
}

if [[ ! -s $dir/replicas.env ]]; then
	# A keyset's file must be its reader's alone, and that is a user of the
	# container: here the environment brings it.
	new=$("${keyset[@]}" | tr -d '\n')
	[[ $new == '{'*'}' ]] || { echo "local.sh: ${keyset[*]} printed no keyset" >&2; exit 1; }
	printf "SALLYPORT_ADMIN_TOKEN=%s\nKEYSET='%s'\n" "$(random)" "$new" | keep replicas.env
fi
random | keep billing-proxy-secret
if [[ ! -s $dir/redis-url || ! -s $dir/redis-acl ]]; then
	password=$(random)
	rm -f "$dir/redis-url" "$dir/redis-acl"
	printf 'redis://sallyport:%s@172.30.31.13:6379/0\n' "$password" | keep redis-url
	# The rights are those of tokens/redisstore.
	{
		echo 'user default off'
		printf 'user sallyport on #%s resetkeys ~sallyport:* resetchannels &sallyport:* -@all %s\n' \
			"$(printf %s "$password" | sha256sum | cut -d' ' -f1)" \
			'+hello +auth +ping +select +info +time +wait +eval +evalsha +get +set +setnx +del +pexpire +pttl +sadd +smembers +hget +hset +hsetnx +hmget +hgetall +hdel +zadd +zrangebyscore +zremrangebyrank +zremrangebyscore +publish +subscribe +unsubscribe'
	} | keep redis-acl
fi
