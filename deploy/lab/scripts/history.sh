# Sourced by the clients' scripts. `record EVENT REASON INTERFACE ADDRESS LEASE_SECONDS SERVER_ID` appends
# one line of JSON to the file $LEASE_HISTORY, which the checker reads. EVENT is one of
#   bound    the client has the address from now on
#   renewed  it goes on having it, for LEASE_SECONDS from now
#   ended    it has the address no longer
#   refused  the server said no
#   failed   no server answered
# REASON is the client's own word for it.

PATH=$PATH:/usr/sbin:/sbin

record() {
  [ -n "${LEASE_HISTORY:-}" ] || return 0
  # One write below PIPE_BUF: lines of clients that share a file do not mix.
  printf '{"timeNs":"%s","client":"%s","event":"%s","reason":"%s","interface":"%s","address":"%s","leaseSeconds":%s,"serverId":"%s"}\n' \
    "$(date +%s%N)" "${LEASE_CLIENT:-}" "$1" "$2" "$3" "$4" "${5:-0}" "$6" >>"$LEASE_HISTORY"
}

# prefix_length 255.255.255.0 prints 24
prefix_length() {
  _length=0
  _rest=$1
  while [ -n "$_rest" ]; do
    _octet=${_rest%%.*}
    case $_rest in *.*) _rest=${_rest#*.} ;; *) _rest= ;; esac
    while [ "$_octet" -gt 0 ]; do
      _length=$((_length + (_octet & 1)))
      _octet=$((_octet >> 1))
    done
  done
  echo "$_length"
}

# take_address INTERFACE ADDRESS PREFIX_LENGTH LEASE_SECONDS ROUTERS
take_address() {
  ip -4 address replace "$2/$3" brd + dev "$1" valid_lft "$4" preferred_lft "$4" 2>/dev/null ||
    ip -4 address replace "$2/$3" brd + dev "$1"
  for _router in $5; do
    ip -4 route replace default via "$_router" dev "$1" 2>/dev/null || true
    break
  done
}

drop_addresses() {
  ip -4 address flush dev "$1" 2>/dev/null || true
}

# The first IPv4 address of the interface, if it has one.
current_address() {
  ip -4 -o address show dev "$1" 2>/dev/null | sed -n '1s/.* inet \([0-9.]*\).*/\1/p'
}
