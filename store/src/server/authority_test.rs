//! Frames by hand, whole and in pieces.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// In Huffman code, padded with ones.
fn huffman(text: &[u8]) -> Vec<u8> {
    let mut bits: Vec<bool> = text.iter().flat_map(|byte| code_bits(*byte)).collect();
    bits.resize(bits.len().next_multiple_of(8), true);
    bits.chunks(8).map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

/// `:method POST`, a literal header, then the authority.
fn block(huffman: bool, authority: &[u8]) -> Vec<u8> {
    let mut block = vec![0x83, 0x40, 1, b'a', 1, b'b', 0x41];
    block.push(authority.len() as u8 | if huffman { 0x80 } else { 0 });
    block.extend_from_slice(authority);
    block.push(0x86);
    block
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, 1]);
    frame.extend_from_slice(payload);
    frame
}

async fn through(sent: &[u8], piece: usize) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    for part in sent.chunks(piece) {
        client.write_all(part).await.unwrap();
    }
    drop(client);
    let mut got = Vec::new();
    AuthorityFilter::new(server).read_to_end(&mut got).await.unwrap();
    got
}

#[tokio::test]
async fn a_url_becomes_an_authority_and_nothing_else_changes() {
    let plain = |authority: &[u8]| {
        let frames = [
            frame(4, 0, b"settin"),
            frame(1, 4, &block(false, authority)),
            frame(0, 0, b"http://data"),
            frame(1, 4 | PADDED, &[&[0][..], &block(false, authority)].concat()),
        ];
        [PREFACE, &frames.concat()].concat()
    };
    for piece in [1, 2, 3, 7, 20, 1000] {
        assert_eq!(through(&plain(b"http://h:1"), piece).await, plain(b"httpB33h:1"), "pieces of {piece}");
        assert_eq!(through(&plain(b"https://h"), piece).await, plain(b"httpsB33h"), "pieces of {piece}");
        assert_eq!(through(&plain(b"host:2379"), piece).await, plain(b"host:2379"), "pieces of {piece}");
    }
}

#[tokio::test]
async fn the_code_of_a_url_becomes_the_code_of_an_authority() {
    for (scheme, flipped) in [(&b"http://"[..], [28, 34, 40]), (b"https://", [33, 39, 45])] {
        let mut want = huffman(scheme);
        for bit in flipped {
            want[bit / 8] ^= 1 << (7 - bit % 8);
        }
        let sent = [PREFACE, &frame(1, 4, &block(true, &huffman(scheme)))].concat();
        assert_eq!(through(&sent, 5).await, [PREFACE, &frame(1, 4, &block(true, &want))].concat());
    }
}

#[tokio::test]
async fn the_path_of_a_socket_loses_its_slashes() {
    let mut code = huffman(b"/t/s");
    let sent = [frame(1, 4, &block(true, &code)), frame(1, 4, &block(false, b"/t/s"))].concat();
    for bit in [5, 16] {
        code[bit / 8] ^= 1 << (7 - bit % 8);
    }
    let want = [frame(1, 4, &block(true, &code)), frame(1, 4, &block(false, b"3t3s"))].concat();
    assert_eq!(through(&[PREFACE, &sent].concat(), 5).await, [PREFACE, &want].concat());
    // `/_~{` in codes of 6, 6, 13 and 15 bits: only the slash is touched.
    let odd = [0b0110_0010, 0b0010_1111, 0b1111_1110, 0b1111_1111, 0b1111_1110];
    let mended = [0b0110_0110, 0b0010_1111, 0b1111_1110, 0b1111_1111, 0b1111_1110];
    let sent = [PREFACE, &frame(1, 4, &block(true, &odd))].concat();
    assert_eq!(through(&sent, 5).await, [PREFACE, &frame(1, 4, &block(true, &mended))].concat());
}

#[tokio::test]
async fn what_is_not_http_2_passes() {
    for sent in [&b"GET / HTTP/1.1\r\nhost: http://x\r\n\r\n"[..], b"PRI", b"", b"PRI * HTTP/1"] {
        assert_eq!(through(sent, 4).await, sent);
    }
    // Cut off in the middle of a frame, and a block that lies about its lengths.
    let cut = [PREFACE, &frame(1, 4, &block(false, b"http://h"))[..12]].concat();
    assert_eq!(through(&cut, 100).await, cut);
    let wrong = [PREFACE, &frame(1, 4, &[0x41, 0x7f, 0xff, 0xff, 0xff, 0xff])].concat();
    assert_eq!(through(&wrong, 100).await, wrong);
}
