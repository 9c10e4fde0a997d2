# One LEASEQUERY by a library that is not ours (Net::DHCP, of Debian's libnet-dhcp-perl), and what it reads in the answer.
#
#   perl -I LIBRARY net-dhcp-query.pl OWN-ADDRESS SERVER address|hardware|client-id VALUE
#
# Prints the message type, ciaddr, chaddr, and each option as code=hex, one a line; "silence" after two seconds.
use strict;
use warnings;
use IO::Socket::INET;
use Net::DHCP::Constants;
use Net::DHCP::Packet;

my ($self, $server, $by, $value) = @ARGV;
my $query = Net::DHCP::Packet->new(
    Op => BOOTREQUEST(), Xid => 0x4c51, Giaddr => $self,
    ($by eq 'address' ? (Ciaddr => $value) : ()),
    ($by eq 'hardware' ? (Chaddr => $value) : ()),
    DHO_DHCP_MESSAGE_TYPE() => DHCPLEASEQUERY(),
    DHO_DHCP_PARAMETER_REQUEST_LIST() => '51 54 58 59 61 82 91 92',
);
$query->addOptionRaw(DHO_DHCP_CLIENT_IDENTIFIER(), pack('H*', $value)) if $by eq 'client-id';
my $socket = IO::Socket::INET->new(Proto => 'udp', LocalAddr => $self, LocalPort => 67, PeerAddr => $server, PeerPort => 67) or die "socket: $!\n";
$socket->send($query->serialize());
my $ready = '';
vec($ready, fileno($socket), 1) = 1;
if (!select($ready, undef, undef, 2)) {
    print "silence\n";
    exit 0;
}
$socket->recv(my $bytes, 65535);
my $answer = Net::DHCP::Packet->new($bytes);
printf "type %s\n", $Net::DHCP::Constants::REV_DHCP_MESSAGE{$answer->getOptionValue(DHO_DHCP_MESSAGE_TYPE())};
printf "ciaddr %s\nchaddr %s\nxid %x\n", $answer->ciaddr(), substr($answer->chaddr(), 0, 2 * $answer->hlen()), $answer->xid();
for my $code (1 .. 254) {
    my $raw = $answer->getOptionRaw($code);
    printf "%d=%s\n", $code, unpack('H*', $raw) if defined $raw;
}
