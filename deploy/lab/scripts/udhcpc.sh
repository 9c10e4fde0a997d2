#!/bin/sh
# udhcpc's script in the lab: configures the client's own namespace and writes the lease history.
. "$(dirname "$0")/history.sh"

case $1 in
  bound | renew)
    case $1 in bound) event=bound ;; *) event=renewed ;; esac
    record "$event" "$1" "$interface" "$ip" "$lease" "$serverid"
    have=$(current_address "$interface")
    if [ -n "$have" ] && [ "$have" != "$ip" ]; then drop_addresses "$interface"; fi
    take_address "$interface" "$ip" "${mask:-24}" "$lease" "${router:-}"
    ;;
  deconfig)
    have=$(current_address "$interface")
    drop_addresses "$interface"
    ip link set "$interface" up
    # It is called at the start too, with nothing to give back.
    if [ -n "$have" ]; then record ended "$1" "$interface" "$have" 0 ''; fi
    ;;
  nak) record refused "$1" "$interface" "${ip:-}" 0 "${serverid:-}" ;;
  leasefail) record failed "$1" "$interface" '' 0 '' ;;
esac
exit 0
