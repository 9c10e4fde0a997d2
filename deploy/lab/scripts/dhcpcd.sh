#!/bin/sh
# dhcpcd's script in the lab. dhcpcd configures the interface itself; this writes the lease history.
# dhcpcd clears the environment: LEASE_HISTORY and LEASE_CLIENT come with its option --env.
. "$(dirname "$0")/history.sh"

case $reason in
  BOUND | REBOOT | RENEW | REBIND)
    case $reason in BOUND | REBOOT) event=bound ;; *) event=renewed ;; esac
    record "$event" "$reason" "$interface" "$new_ip_address" "$new_dhcp_lease_time" "$new_dhcp_server_identifier"
    ;;
  EXPIRE | STOP | RELEASE | NAK)
    if [ -n "${old_ip_address:-}" ]; then record ended "$reason" "$interface" "$old_ip_address" 0 ''; fi
    ;;
  FAIL) record failed "$reason" "$interface" '' 0 '' ;;
esac
exit 0
